{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.services.operation-dbus.numa = {
    enable = lib.mkEnableOption "a place on the NUMA nodes for the agent, for hosts with several sockets";

    node = mkOption {
      type = types.ints.between 0 1023;
      default = 0;
      description = "Without a strategy: the node whose memory the agent uses.";
    };

    cpuList = mkOption {
      type = types.nullOr (types.strMatching "[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*");
      default = null;
      example = "0-7";
      description = "Without a strategy: the processors that the agent runs on, as ranges and single numbers; with null those of the node.";
    };

    strategy = mkOption {
      type = types.nullOr (
        types.enum [
          "local-node"
          "round-robin"
          "most-memory"
        ]
      );
      default = null;
      description = ''
        How the agent chooses a node for the work of its cache and its model: that of the processor that asks, each in
        turn, or the one with the most free memory. With null systemd keeps the whole agent on `node`.
      '';
    };

    policy = mkOption {
      type = types.enum [
        "default"
        "preferred"
        "bind"
        "interleave"
      ];
      default = "default";
      description = ''
        With a strategy: where the memory of that work comes from. Near its processor, from one node and from others
        when that is full, from these nodes alone, or from these in turn.
      '';
    };

    nodes = mkOption {
      type = types.listOf (types.ints.between 0 1023);
      default = [ ];
      description = "The nodes of the policy; without any it is the chosen one, with `interleave` all of them.";
    };
  };
}
