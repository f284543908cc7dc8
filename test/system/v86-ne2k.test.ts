import { V86_NE2K } from "../support/rig.js";
import { describeNetwork } from "./scenarios/describe-network.js";

describeNetwork(V86_NE2K);
