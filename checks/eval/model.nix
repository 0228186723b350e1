# The model, the cache and NUMA: what the options become.
{ evaluate, ... }:
let
  inherit (evaluate) declaration;
in
{
  testAModelIsDeclared = {
    expr =
      (declaration {
        ml = {
          enable = true;
          model = "/srv/model";
          numThreads = 2;
        };
      }).ml;
    expected = {
      model = "/srv/model";
      executionProvider = "cpu";
      numThreads = 2;
    };
  };

  testTheDefaultsAreTheAgents = {
    expr = (declaration { }) ? cache || (declaration { }) ? ml;
    expected = false;
  };

  testTheCacheIsBounded = {
    expr =
      (declaration {
        cache = {
          size = "4GiB";
          age = 30;
        };
      }).cache;
    expected = {
      size = "4GiB";
      age = 30;
    };
  };

  testAStrategyIsTheAgents = {
    expr =
      (declaration {
        numa = {
          enable = true;
          strategy = "round-robin";
          policy = "interleave";
        };
      }).cache.numa;
    expected = {
      strategy = "round-robin";
      policy = "interleave";
      nodes = [ ];
    };
  };

  testWithoutAStrategySystemdKeepsTheAgentOnItsNode = {
    expr = (declaration { numa.enable = true; }) ? cache;
    expected = false;
  };
}
