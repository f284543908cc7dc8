import { V86_VIRTIO } from "../support/rig.js";
import { describeNetwork } from "./scenarios/describe-network.js";

describeNetwork(V86_VIRTIO);
