import { QEMU_STREAM } from "../support/rig.js";
import { describeNetwork } from "./scenarios/describe-network.js";

describeNetwork(QEMU_STREAM);
