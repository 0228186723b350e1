{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.services.operation-dbus.numa = {
    enable = lib.mkEnableOption "keeping the agent on one NUMA node, for hosts with several sockets";

    node = mkOption {
      type = types.ints.between 0 1023;
      default = 0;
      description = "The node whose memory the agent uses.";
    };

    cpuList = mkOption {
      type = types.nullOr (types.strMatching "[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*");
      default = null;
      example = "0-7";
      description = "The processors that the agent runs on, as ranges and single numbers; with null those of the node.";
    };
  };
}
