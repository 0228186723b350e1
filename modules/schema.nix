# Option types from the declaration's JSON Schema, which the agent publishes: one definition serves the agent, its
# reference and these options.
{ lib }:
let
  inherit (lib) mkOption types;

  document = lib.importJSON ./declaration.schema.json;

  # A schema without references; what stands beside a reference has precedence.
  resolve =
    schema:
    if schema ? "$ref" then
      definition (lib.removePrefix "#/$defs/" schema."$ref") // removeAttrs schema [ "$ref" ]
    else
      schema;

  definition = name: document."$defs".${name};

  # POSIX has no lookahead, and no escape for a closing bracket; the agent's own check of the declaration has the last word.
  posix =
    lib.replaceStrings
      [
        "(?!all$|default$)"
        "(?!.*\\.\\.)"
        "(?!(.*/)?\\.\\.(/|$))"
        "[^\\u0000-\\u001f\\u007f-\\u009f]*"
        "[^\\u0000-\\u001f\\u007f-\\u009f]{"
        "[^\\s\\u0000-\\u001f\\u007f-\\u009f]"
        "\\]"
      ]
      [
        ""
        ""
        ""
        ".*"
        ".{"
        "[^[:space:]]"
        "]"
      ];

  fits = schema: text: builtins.match (posix schema.pattern) text != null;

  text =
    schema:
    lib.mkOptionType {
      name = "text";
      description = schema."$comment" or "text";
      descriptionClass = "conjunction";
      check = value: lib.isString value && (!schema ? pattern || fits schema value);
      merge = lib.mergeEqualOption;
    };

  isNull = schema: schema.type or null == "null";
  isRecord = schema: (resolve schema) ? properties;

  anyOf =
    schemas:
    let
      rest = lib.filter (schema: !isNull schema) schemas;
      records = lib.filter isRecord rest;
      tags = lib.foldl' (all: schema: all // (resolve schema).properties) { } records;
      alternatives =
        map type (lib.filter (schema: !isRecord schema) rest)
        ++ (
          if lib.length records > 1 then
            [
              (
                types.attrTag (lib.mapAttrs (_: option) tags)
                // {
                  description = "a map with one of the keys ${lib.concatStringsSep ", " (lib.attrNames tags)}";
                }
              )
            ]
          else
            map type records
        );
      some = types.oneOf alternatives;
    in
    if lib.length rest < lib.length schemas then types.nullOr some else some;

  # One of several records that differ in a word or in a key: all of their keys, those that not all have may be null.
  variant =
    variants:
    let
      # What stands beside the reference tells the record from the others, and is not all that it has.
      record = schema: resolve { inherit (schema) "$ref"; };
      has = key: schema: (record schema).properties ? ${key};
      byRecipe = lib.any (schema: schema ? properties) variants;
      words =
        schemas:
        lib.concatMapStringsSep " and " (word: "`${word}`") (
          lib.concatMap (schema: schema.properties.recipe.enum or (record schema).required) schemas
        );
      condition =
        key:
        let
          sides = lib.partition (has key) variants;
        in
        if byRecipe then
          "For the recipes ${words sides.right}"
        else if lib.any (schema: lib.elem key (record schema).required) sides.right then
          "Instead of ${words sides.wrong}"
        else
          "With ${words sides.right}";
      ofSome =
        key: schema:
        let
          bare = type schema;
        in
        mkOption {
          type = if bare.name == "nullOr" then bare else types.nullOr bare;
          default = null;
          description = "${condition key}: ${schema.description}";
        };
    in
    lib.mapAttrs (
      key: schema: if lib.all (has key) variants then option schema else ofSome key schema
    ) (lib.foldl' (all: schema: all // (record schema).properties) { } variants);

  type =
    written:
    let
      schema = resolve written;
    in
    if schema ? oneOf && lib.all (choice: choice ? const) schema.oneOf then
      types.enum (map (choice: choice.const) schema.oneOf)
    else if schema ? oneOf then
      types.submodule { options = variant schema.oneOf; }
    else if schema ? properties then
      types.submodule { options = lib.mapAttrs (_: option) schema.properties; }
    else if schema ? anyOf then
      anyOf schema.anyOf
    else if schema ? enum then
      types.enum schema.enum
    else
      {
        boolean = types.bool;
        integer = types.ints.between schema.minimum schema.maximum;
        array = types.listOf (type schema.items);
        object = types.attrsOf (type schema.additionalProperties);
        string = text schema;
      }
      .${schema.type};

  # "Such as 'a map'": words of an enumeration are explained where they are chosen.
  meaning =
    schema:
    let
      choices = lib.filter (choice: choice ? const) ((resolve schema).oneOf or [ ]);
    in
    lib.concatStringsSep "\n" (
      [ (resolve schema).description ]
      ++ lib.optional (choices != [ ]) ""
      ++ map (choice: "- `${choice.const}`: ${choice.description}") choices
    );

  option =
    schema:
    mkOption (
      {
        type = type schema;
        description = meaning schema + lib.optionalString (!schema ? default) "\n\nIt has to be given.";
      }
      // lib.optionalAttrs (schema ? default) { inherit (schema) default; }
    );

  # What is wrong with the names of things, which are keys and have no type.
  namesIn =
    path: written: value:
    let
      schema = resolve written;
      below = key: namesIn (path ++ [ key ]);
      properties =
        schema.properties
          or (lib.foldl' (all: one: all // (resolve one).properties or { }) { } (schema.oneOf or [ ]));
    in
    if properties != { } && lib.isAttrs value then
      lib.concatLists (
        lib.mapAttrsToList (
          key: one: lib.optionals (value ? ${key}) (below key one value.${key})
        ) properties
      )
    else if schema.type or null == "object" && lib.isAttrs value then
      lib.concatLists (
        lib.mapAttrsToList (
          key: one:
          lib.optional (!fits schema.propertyNames key)
            "${lib.showOption path}: \"${key}\" cannot be a name here. Choose ${
              schema.propertyNames."$comment"
            }."
          ++ below key schema.additionalProperties one
        ) value
      )
    else
      [ ];
in
{
  # The options of a record, or of one of several, by the name of its definition.
  options =
    name:
    let
      schema = definition name;
    in
    if schema ? oneOf then variant schema.oneOf else lib.mapAttrs (_: option) schema.properties;

  # The type of a definition.
  type = name: type (definition name);

  # Sentences about the names in a value of a definition that stands at an option's path.
  badNames = name: path: namesIn path (definition name);

  # Whether the agent makes a subvolume without being told to.
  standardSubvolumes = lib.attrNames (definition "Btrfs").properties.subvolumes.default;

  # A value as the declaration has it: without what is not given.
  render =
    let
      strip =
        value:
        if lib.isAttrs value then
          lib.mapAttrs (_: strip) (lib.filterAttrs (_: one: one != null) value)
        else if lib.isList value then
          map strip value
        else
          value;
    in
    strip;
}
