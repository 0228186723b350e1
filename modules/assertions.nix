# What cannot work, as sentences that say what to change. `op-dbus check` finds the rest when the declaration is built.
{ config, lib, ... }:
let
  inherit (lib)
    attrNames
    concatLists
    concatStringsSep
    elem
    filter
    mapAttrsToList
    optional
    ;
  cfg = config.services.operation-dbus;
  schema = import ./schema.nix { inherit lib; };
  prefix = "services.operation-dbus";

  oneOf =
    names: if names == [ ] then "none is declared" else "use one of ${concatStringsSep ", " names}";
  bridges = attrNames cfg.ovs.bridges;
  containers = cfg.lxc.containers;

  names =
    schema.badNames "Ovs" [ "services" "operation-dbus" "ovs" ] cfg.ovs
    ++ schema.badNames "Openflow" [ "services" "operation-dbus" "openflow" ] cfg.openflow
    ++ schema.badNames "Lxc" [ "services" "operation-dbus" "lxc" ] cfg.lxc
    ++ schema.badNames "Btrfs" [ "services" "operation-dbus" "btrfs" "extraSubvolumes" ] {
      subvolumes = cfg.btrfs.extraSubvolumes;
    }
    ++ schema.badNames "Access" [ "services" "operation-dbus" "access" ] cfg.access
    ++ schema.badNames "Ledger" [ "services" "operation-dbus" "ledger" ] {
      inherit (cfg.ledger) witnesses;
    }
    ++ schema.badNames "Replication" [ "services" "operation-dbus" "replication" ] cfg.replication
    ++ schema.badNames "Mcp" [ "services" "operation-dbus" "mcp" ] { inherit (cfg.mcp) upstreams; };

  program =
    option: words:
    optional (words == [ ] || !lib.hasPrefix "/" (lib.head words))
      "${option} has to begin with the absolute path of a program, which is not looked for: write one such as \"\${pkgs.coreutils}/bin/df\".";
  command = name: program "${prefix}.access.commands.${name}";

  # As `op-dbus check` sees it, but before the value is in the store.
  isSecret =
    variable:
    lib.any (part: lib.hasInfix part (lib.toUpper variable)) [
      "TOKEN"
      "SECRET"
      "PASSWORD"
      "PASSWD"
      "API_KEY"
      "APIKEY"
    ];

  upstream =
    name: one:
    let
      path = "${prefix}.mcp.upstreams.${name}";
      environment = if one.environment == null then { } else one.environment;
    in
    optional (
      (one.command == null) == (one.url == null)
    ) "${path} is either a program or an address: set one of ${path}.command and ${path}.url."
    ++ lib.optionals (one.command != null) (program "${path}.command" one.command)
    ++
      optional
        (
          one.url != null
          && one.token_file != null
          && lib.hasPrefix "http://" one.url
          && !import ./loopback.nix one.url
        )
        "${path}.url is http, and everybody on the way could read the token: use https, or an address such as http://127.0.0.1:3000/mcp."
    ++
      map
        (
          variable:
          "${path}.environment.${variable} would put a secret into the Nix store, which everybody can read: write it into a file outside of the store, and set ${path}.environment.${variable}.file to its path."
        )
        (
          filter (variable: isSecret variable && lib.isString environment.${variable}) (attrNames environment)
        );

  container =
    name: one:
    let
      path = "${prefix}.lxc.containers.${name}";
    in
    optional (!cfg.lxc.templates ? ${one.template})
      "${path}.template is \"${one.template}\", which is not declared: ${oneOf (attrNames cfg.lxc.templates)}, or declare it in ${prefix}.lxc.templates."
    ++
      optional (one.network != "none" && one.bridge != null && !elem one.bridge bridges)
        "${path}.bridge is \"${one.bridge}\", which is not declared: ${oneOf bridges}, or declare it in ${prefix}.ovs.bridges."
    ++
      optional (one.network != "none" && one.bridge == null && lib.length bridges != 1)
        "${path} does not say which bridge it is connected to, and there is not exactly one: set ${path}.bridge (${oneOf bridges}), or ${path}.network = \"none\"."
    ++ map (
      other:
      "${path}.after names \"${other}\", which is not declared: ${oneOf (attrNames containers)}, or take it out."
    ) (filter (other: !containers ? ${other}) one.after);

  flows =
    name: _:
    optional (!elem name bridges)
      "${prefix}.openflow.bridges.${name} is no bridge: ${oneOf bridges}, or declare it in ${prefix}.ovs.bridges.";

  port =
    bridge: name: one:
    optional (one.peer != null && one.type != "veth")
      "${prefix}.ovs.bridges.${bridge}.ports.${name}.peer is for a port of type \"veth\": set the type, or take the peer out."
    ++
      optional (one.peer == null && one.type == "veth")
        "${prefix}.ovs.bridges.${bridge}.ports.${name} is of type \"veth\" and has no other end: set its peer.";

  bridge =
    name: one:
    optional (config.networking.vswitches ? ${name})
      "${name} is in networking.vswitches and in ${prefix}.ovs.bridges: take it out of networking.vswitches, which deletes the ports of containers."
    ++ concatLists (mapAttrsToList (port name) one.ports);

  uplinks = lib.concatMap (one: one.uplinks) (lib.attrValues cfg.ovs.bridges);
  shared = filter (link: lib.count (other: other == link) uplinks > 1) (lib.unique uplinks);
  roles = lib.unique (concatLists (lib.attrValues cfg.roles));

  # What is mounted where the base lies, as far as this configuration says.
  mounts = filter (
    mount: mount == "/" || mount == cfg.btrfs.basePath || lib.hasPrefix "${mount}/" cfg.btrfs.basePath
  ) (attrNames config.fileSystems);
  mount = lib.last (lib.sort (one: other: lib.stringLength one < lib.stringLength other) mounts);
  fileSystem = if mounts == [ ] then "btrfs" else config.fileSystems.${mount}.fsType;

  inside = lib.hasPrefix "127." cfg.mcp.address || cfg.mcp.address == "::1";
  encrypted = cfg.mcp.tls.selfSigned || cfg.mcp.tls.certificateFile != null;

  general =
    optional
      (
        cfg.btrfs.image == null
        && !elem fileSystem [
          "btrfs"
          "auto"
        ]
      )
      "${prefix}.btrfs.basePath lies on ${fileSystem} (${mount}), and has to be on btrfs: mount one there, or set ${prefix}.btrfs.image and size."
    ++
      optional (!cfg.btrfs.enable)
        "${prefix}.btrfs.enable is false, but the ledger and the containers live in these subvolumes: take it out, or turn ${prefix}.enable off."
    ++
      optional (cfg.btrfs.size != null && cfg.btrfs.image == null)
        "${prefix}.btrfs.size is the size of an image, and there is none: set ${prefix}.btrfs.image, or take the size out."
    ++ optional (
      cfg.btrfs.size == null && cfg.btrfs.image != null
    ) "${prefix}.btrfs.image needs a size: set ${prefix}.btrfs.size, such as \"8GiB\"."
    ++
      optional (cfg.netmaker.joinKey != null)
        "${prefix}.netmaker.joinKey would put the key into the Nix store, which everybody can read: write it into a file outside of the store, and set ${prefix}.netmaker.joinKeyFile to its path."
    ++
      optional (cfg.netmaker.enable && cfg.netmaker.joinKeyFile == null)
        "${prefix}.netmaker.enable needs the key of the mesh: set ${prefix}.netmaker.joinKeyFile to the path of a file outside of the store."
    ++
      optional (uplinks != [ ] && !config.networking.useNetworkd)
        "${prefix}.ovs.bridges has uplinks, which only networkd leaves to the agent: set networking.useNetworkd = true."
    ++ map (
      link: "${link} is an uplink of more than one of ${prefix}.ovs.bridges: leave it in one of them."
    ) shared
    ++
      map
        (
          user:
          "${prefix}.roles names \"${user}\", who is no user of this host: declare users.users.${user}, or take the name out."
        )
        (
          filter (
            user: !(config.users.users.${user}.isNormalUser || config.users.users.${user}.isSystemUser)
          ) roles
        )
    ++
      optional (cfg.ml.executionProvider != "cpu" && !cfg.ml.enable)
        "${prefix}.ml.executionProvider is set, but there is no model to run: set ${prefix}.ml.enable, or take it out."
    ++ optional (
      cfg.ml.enable && cfg.ml.model == null
    ) "${prefix}.ml.enable needs a model: set ${prefix}.ml.model to the directory that holds one."
    ++
      optional
        (cfg.ml.enable && !elem cfg.ml.executionProvider (cfg.package.executionProviders or [ "cpu" ]))
        "${prefix}.ml.executionProvider is \"${cfg.ml.executionProvider}\", which this build of the agent does not have: set it to \"cpu\"."
    ++
      optional (cfg.numa.enable && cfg.numa.strategy != null && cfg.numa.cpuList != null)
        "${prefix}.numa.cpuList keeps the whole agent on these processors, and ${prefix}.numa.strategy places its threads on all nodes: take one of them out."
    ++
      optional (cfg.numa.strategy == null && (cfg.numa.policy != "default" || cfg.numa.nodes != [ ]))
        "${prefix}.numa.policy and nodes are for threads that a strategy places: set ${prefix}.numa.strategy, or take them out."
    ++
      optional (cfg.mcp.enable && !inside && !encrypted)
        "${prefix}.mcp.address is ${cfg.mcp.address}, and others could listen in: set ${prefix}.mcp.tls.certificateFile and keyFile, or ${prefix}.mcp.tls.selfSigned, or take a loopback address."
    ++
      optional (cfg.mcp.openFirewall && inside)
        "${prefix}.mcp.openFirewall opens a port at which nobody else is answered: set ${prefix}.mcp.address to an address that others reach, or take it out."
    ++
      optional ((cfg.mcp.tls.certificateFile == null) != (cfg.mcp.tls.keyFile == null))
        "${prefix}.mcp.tls.certificateFile and keyFile belong together: set both, or ${prefix}.mcp.tls.selfSigned."
    ++
      optional (cfg.mcp.tls.selfSigned && cfg.mcp.tls.certificateFile != null)
        "${prefix}.mcp.tls has a certificate and makes one: take selfSigned or certificateFile and keyFile out."
    ++
      optional (cfg.mcp.enable && cfg.mcp.port < 1024)
        "${prefix}.mcp.port is ${toString cfg.mcp.port}, which takes a right that the web server does not have: choose 1024 or more, and put a reverse proxy before it."
    ++
      optional (cfg.chat.model != null && !cfg.mcp.enable)
        "${prefix}.chat.model is for the chat of the web server: set ${prefix}.mcp.enable, or take it out."
    ++
      map
        (
          name:
          "${prefix}.replication.targets.${name}.every needs the daemon, which keeps the time: set ${prefix}.daemon.enable, or take it out."
        )
        (
          filter (name: cfg.replication.targets.${name}.every != null && !cfg.daemon.enable) (
            attrNames cfg.replication.targets
          )
        )
    ++
      map
        (
          name:
          "${prefix}.replication.targets.${name}.path lies in the base, ${cfg.btrfs.basePath}, and a copy there would be lost with it: choose a directory of another file system."
        )
        (
          filter (
            name:
            cfg.replication.targets.${name}.ssh == null
            && lib.hasPrefix "${cfg.btrfs.basePath}/" cfg.replication.targets.${name}.path
          ) (attrNames cfg.replication.targets)
        )
    ++
      optional (cfg.mcp.enable && !cfg.daemon.enable)
        "${prefix}.mcp.enable needs the daemon, which does what clients ask for: set ${prefix}.daemon.enable, or take it out.";

  chain = cfg.privacyRouter;
  hops = [
    chain.wireguard.address
    chain.warp.address
    chain.xray.address
    chain.socketNetworking.address
  ];
  privacy = lib.optionals chain.enable (
    optional (chain.vps.address == null)
      "${prefix}.privacyRouter.vps.address is missing: set the IPv4 address of the server where the chain ends."
    ++
      optional (chain.xray.settingsFile == null)
        "${prefix}.privacyRouter.xray.settingsFile is missing: write Xray's configuration into a file outside of the store, and set its path."
    ++
      optional (lib.unique hops != hops)
        "Two hops of ${prefix}.privacyRouter have the same address: change one of ${concatStringsSep ", " hops}."
    ++ optional (
      !config.networking.nftables.enable
    ) "${prefix}.privacyRouter needs nftables: set networking.nftables.enable = true."
  );
in
{
  config = lib.mkIf cfg.enable {
    assertions =
      map
        (message: {
          assertion = false;
          inherit message;
        })
        (
          general
          ++ names
          ++ concatLists (mapAttrsToList command cfg.access.commands)
          ++ concatLists (mapAttrsToList upstream cfg.mcp.upstreams)
          ++ concatLists (mapAttrsToList container containers)
          ++ concatLists (mapAttrsToList flows cfg.openflow.bridges)
          ++ concatLists (mapAttrsToList bridge cfg.ovs.bridges)
          ++ privacy
        );
  };
}
