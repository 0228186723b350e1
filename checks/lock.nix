# What is wrong with the lock, as sentences: every input has a node that is locked, and what is followed is there.
# It needs nothing but Nix itself.
let
  lock = builtins.fromJSON (builtins.readFile ../flake.lock);
  inherit ((import ../flake.nix)) inputs;
  inherit (lock) nodes root;

  is = pattern: text: builtins.isString text && builtins.match pattern text != null;
  among = set: name: builtins.hasAttr name set;
  unless = good: sentence: if good then [ ] else [ sentence ];
  each =
    set: check: builtins.concatLists (map (name: check name set.${name}) (builtins.attrNames set));
in
unless (lock.version == 7) "flake.lock: the version is ${toString lock.version} and not 7"
++ each inputs (
  name: _:
  unless (among nodes.${root}.inputs
    name
  ) "flake.lock: the input ${name} has no node: run `nix flake lock`"
)
++ each nodes.${root}.inputs (
  name: _: unless (among inputs name) "flake.lock: ${name} is no input any more: run `nix flake lock`"
)
++ each (removeAttrs nodes [ root ]) (
  name: node:
  unless (is "[0-9a-f]{40}" (
    node.locked.rev or null
  )) "flake.lock: ${name} has no revision of 40 digits"
  ++ unless (is "sha256-[A-Za-z0-9+/]{43}=" (
    node.locked.narHash or null
  )) "flake.lock: ${name} has no hash of its content"
)
++ each nodes (
  name: node:
  each (node.inputs or { }) (
    input: target:
    let
      followed = if builtins.isList target then builtins.head target else target;
    in
    unless (among nodes followed) "flake.lock: ${input} of ${name} is ${followed}, which has no node"
  )
)
