# The reference of the options as Markdown: a string, so that evaluating is enough to see whether the committed page
# is old.
{ lib, pkgs }:
let
  evaluated = lib.evalModules {
    modules = [
      ../modules/options
      {
        _module.check = false;
        _module.args = { inherit pkgs; };
      }
    ];
  };

  options = lib.filter (option: option.visible && !option.internal) (
    lib.optionAttrSetToDocList (removeAttrs evaluated.options [ "_module" ])
  );

  # A value is shown as it is written in Nix.
  shown =
    value:
    if value._type or "" == "literalMD" then
      " ${value.text}"
    else if lib.hasInfix "\n" value.text then
      "\n\n```nix\n${lib.trim value.text}\n```"
    else
      " `${value.text}`";

  # Nothing is what an option has that has no other default.
  isNothing =
    value:
    lib.elem value.text or "" [
      "null"
      "[ ]"
      "{ }"
    ];

  section = option: ''
    ## `${option.name}`

    ${lib.trim option.description}

    - Type: ${option.type}
    ${
      lib.optionalString (
        option ? default && !isNothing option.default
      ) "- Default:${shown option.default}\n"
    }${lib.optionalString (option ? example) "- Example:${shown option.example}\n"}'';

  prefix = "services.operation-dbus.";
  own = lib.filter (option: lib.hasPrefix prefix option.name) options;
in
''
  # The NixOS options

  <!-- Generated from modules/options: change it there. -->

  Below `ovs`, `openflow`, `lxc` and `mcp.upstreams` the names are those of [the declaration](declaration.md). Where no
  default is given, it is null or empty.

  ${lib.concatMapStringsSep "\n" section own}''
