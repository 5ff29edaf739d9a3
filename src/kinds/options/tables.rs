//! The keys that LXD knows, by what they belong to: facts from LXD's option catalogue
//! (`/1.0/metadata/configuration`, extension `metadata_configuration`) of 6.9, with the keys that only 5.0
//! or Incus have. `*` stands for any rest.

use super::Type;

/// Keys by type.
pub type Table = &'static [(Type, &'static str)];

/// Instances and profiles.
pub static INSTANCE: Table = &[
    (
        Type::Bool,
        "agent.nic_config boot.autostart boot.debug_edk2 boot.host_shutdown_force limits.memory.hugepages \
         migration.incremental.memory migration.stateful nvidia.runtime \
         security.agent.metrics security.csm security.delegate_bpf \
         security.delegate_bpf.attach_types security.delegate_bpf.cmd_types security.delegate_bpf.map_types \
         security.delegate_bpf.prog_types security.devlxd security.devlxd.images \
         security.devlxd.management.volumes security.guestapi security.guestapi.images \
         security.idmap.isolated security.nesting security.privileged security.protection.delete \
         security.protection.shift security.protection.start security.secureboot security.sev \
         security.sev.policy.es security.syscalls.deny_compat security.syscalls.deny_default \
         security.syscalls.intercept.bpf security.syscalls.intercept.bpf.devices \
         security.syscalls.intercept.mknod security.syscalls.intercept.mount \
         security.syscalls.intercept.mount.shift security.syscalls.intercept.sched_setscheduler \
         security.syscalls.intercept.setxattr security.syscalls.intercept.sysinfo snapshots.schedule.stopped",
    ),
    (
        Type::Integer,
        "boot.autostart.delay boot.autostart.priority boot.host_shutdown_timeout boot.stop.priority \
         limits.cpu.priority limits.disk.priority limits.max_bus_ports limits.memory.oom_priority \
         limits.memory.swap.priority limits.processes migration.incremental.memory.goal \
         migration.incremental.memory.iterations security.idmap.base security.idmap.size",
    ),
    (
        Type::Text,
        "boot.mode cloud-init.network-config cloud-init.ssh-keys.* cloud-init.user-data \
         cloud-init.vendor-data cluster.evacuate environment.* limits.cpu limits.cpu.allowance \
         limits.cpu.nodes limits.cpu.pin_strategy limits.egress limits.hugepages.1GB limits.hugepages.1MB \
         limits.hugepages.2MB limits.hugepages.64KB limits.ingress limits.kernel.* limits.memory \
         limits.memory.enforce limits.memory.swap limits.network.priority security.bpffs.path linux.kernel_modules linux.kernel_modules.load \
         linux.sysctl.* nvidia.driver.capabilities nvidia.require.cuda nvidia.require.driver oci.* \
         placement.group raw.apparmor raw.idmap raw.lxc raw.qemu raw.qemu.conf raw.qemu.qmp.early \
         raw.qemu.qmp.post-start raw.qemu.qmp.pre-start raw.qemu.scriptlet raw.seccomp \
         security.sev.session.data security.sev.session.dh security.syscalls.allow \
         security.syscalls.blacklist security.syscalls.deny security.syscalls.intercept.mount.* \
         security.syscalls.intercept.mount.allowed security.syscalls.intercept.mount.fuse \
         security.syscalls.whitelist snapshots.* snapshots.expiry snapshots.pattern snapshots.schedule \
         ubuntu_pro.guest_attach user.* user.network-config user.user-data user.vendor-data",
    ),
];

/// Devices of type `disk`.
pub static DEVICE_DISK: Table = &[
    (Type::Bool, "dependency readonly recursive required shift"),
    (Type::Integer, "boot.priority io.threads"),
    (
        Type::Text,
        "attached ceph.cluster_name ceph.user_name initial.* io.bus io.cache limits.max limits.read \
         limits.write path pool propagation raw.mount.options size size.state source source.snapshot \
         source.type type user.* wwn",
    ),
];

/// Devices of type `nic`.
pub static DEVICE_NIC: Table = &[
    (
        Type::Bool,
        "gvrp ipv4.neighbor_probe ipv6.neighbor_probe security.acls.default.egress.logged \
         security.acls.default.ingress.logged security.ipv4_filtering security.ipv6_filtering \
         security.mac_filtering security.port_isolation",
    ),
    (
        Type::Integer,
        "boot.priority ipv4.host_table ipv6.host_table limits.priority mtu queue.tx.length vlan vlan.tagged",
    ),
    (
        Type::Text,
        "acceleration acceleration.parent host_name hwaddr io.bus ipv4.address ipv4.gateway ipv4.host_address \
         ipv4.routes ipv4.routes.external ipv6.address ipv6.gateway ipv6.host_address ipv6.routes \
         ipv6.routes.external limits.egress limits.ingress limits.max mode name nested network parent \
         security.acls security.acls.default.egress.action security.acls.default.ingress.action type user.*",
    ),
];

/// Devices of type `gpu`.
pub static DEVICE_GPU: Table = &[
    (Type::Integer, "gid mig.ci mig.gi mode uid"),
    (Type::Text, "id mdev mig.uuid pci productid type user.* vendorid"),
];

/// Devices of type `infiniband`.
pub static DEVICE_INFINIBAND: Table = &[(Type::Integer, "mtu"), (Type::Text, "hwaddr name nictype parent type user.*")];

/// Devices of type `pci`.
pub static DEVICE_PCI: Table = &[(Type::Text, "address type user.*")];

/// Devices of type `proxy`.
pub static DEVICE_PROXY: Table = &[
    (Type::Bool, "nat proxy_protocol"),
    (Type::Integer, "gid mode security.gid security.uid uid"),
    (Type::Text, "bind connect listen type user.*"),
];

/// Devices of type `tpm`.
pub static DEVICE_TPM: Table = &[(Type::Text, "path pathrm type user.*")];

/// Devices of type `unix-block`.
pub static DEVICE_UNIX_BLOCK: Table =
    &[(Type::Bool, "required"), (Type::Integer, "gid major minor mode uid"), (Type::Text, "path source type user.*")];

/// Devices of type `unix-char`.
pub static DEVICE_UNIX_CHAR: Table =
    &[(Type::Bool, "required"), (Type::Integer, "gid major minor mode uid"), (Type::Text, "path source type user.*")];

/// Devices of type `unix-hotplug`.
pub static DEVICE_UNIX_HOTPLUG: Table = &[
    (Type::Bool, "ownership.inherit required"),
    (Type::Integer, "gid mode uid"),
    (Type::Text, "productid subsystem type user.* vendorid"),
];

/// Devices of type `usb`.
pub static DEVICE_USB: Table = &[
    (Type::Bool, "required"),
    (Type::Integer, "busnum devnum gid mode uid"),
    (Type::Text, "productid serial type user.* vendorid"),
];

/// Devices of type `none`, which mask a profile's.
pub static DEVICE_NONE: Table = &[(Type::Text, "type user.*")];

/// Networks of type `bridge`.
pub static NETWORK_BRIDGE: Table = &[
    (
        Type::Bool,
        "ipv4.dhcp ipv4.firewall ipv4.nat ipv4.routing ipv6.dhcp ipv6.dhcp.stateful ipv6.firewall ipv6.nat \
         ipv6.routing security.acls.default.egress.logged security.acls.default.ingress.logged",
    ),
    (Type::Integer, "bgp.peers.*.asn bgp.peers.*.holdtime bridge.mtu tunnel.*.id tunnel.*.port"),
    (
        Type::Text,
        "bgp.ipv4.nexthop bgp.ipv6.nexthop bgp.peers.* bgp.peers.*.address bgp.peers.*.password bridge.driver \
         bridge.external_interfaces bridge.hwaddr bridge.mode dns.domain dns.mode dns.nameservers dns.search \
         dns.zone.forward dns.zone.reverse.ipv4 dns.zone.reverse.ipv6 fan.overlay_subnet fan.type \
         fan.underlay_subnet ipv4.address ipv4.dhcp.expiry ipv4.dhcp.gateway ipv4.dhcp.ranges \
         ipv4.dhcp.routes ipv4.nat.address ipv4.nat.order ipv4.ovn.ranges ipv4.routes ipv6.address \
         ipv6.dhcp.expiry ipv6.dhcp.ranges ipv6.nat.address ipv6.nat.order ipv6.ovn.ranges ipv6.routes \
         raw.dnsmasq security.acls security.acls.default.egress.action security.acls.default.ingress.action \
         tunnel.* tunnel.*.group tunnel.*.interface tunnel.*.local tunnel.*.protocol tunnel.*.remote \
         tunnel.*.ttl user.*",
    ),
];

/// Networks of type `ovn`.
pub static NETWORK_OVN: Table = &[
    (
        Type::Bool,
        "ipv4.dhcp ipv4.l3only ipv4.nat ipv6.dhcp ipv6.dhcp.stateful ipv6.l3only ipv6.nat \
         security.acls.default.egress.logged security.acls.default.ingress.logged",
    ),
    (Type::Integer, "bridge.mtu mtu"),
    (
        Type::Text,
        "acceleration.parent bgp.peers.* bridge.hwaddr dns.domain dns.nameservers dns.search dns.zone.forward \
         dns.zone.reverse.ipv4 dns.zone.reverse.ipv6 ipv4.address ipv4.dhcp.ranges ipv4.nat.address \
         ipv6.address ipv6.nat.address network security.acls security.acls.default.egress.action \
         security.acls.default.ingress.action user.*",
    ),
];

/// Networks of type `macvlan`.
pub static NETWORK_MACVLAN: Table =
    &[(Type::Bool, "gvrp"), (Type::Integer, "mtu vlan"), (Type::Text, "bgp.peers.* dns.nameservers parent user.*")];

/// Networks of type `sriov`.
pub static NETWORK_SRIOV: Table =
    &[(Type::Integer, "mtu vlan"), (Type::Text, "bgp.peers.* dns.nameservers parent user.*")];

/// Networks of type `physical`.
pub static NETWORK_PHYSICAL: Table = &[
    (Type::Bool, "gvrp ipv4.routes.anycast ipv6.routes.anycast"),
    (Type::Integer, "bgp.peers.*.asn bgp.peers.*.holdtime mtu vlan"),
    (
        Type::Text,
        "bgp.peers.* bgp.peers.*.address bgp.peers.*.password dns.nameservers ipv4.gateway ipv4.ovn.ranges \
         ipv4.routes ipv6.gateway ipv6.ovn.ranges ipv6.routes ovn.ingress_mode parent user.*",
    ),
];

/// Storage pools of any driver.
pub static STORAGE_POOL: Table = &[
    (
        Type::Bool,
        "alletra.wsapi.verify ceph.rbd.clone_copy ceph.rbd.du cephfs.create_missing cephfs.fscache \
         lvm.use_thinpool lvm.vg.force_reuse powerflex.gateway.verify powerflex.snapshot_copy \
         powerstore.gateway.verify pure.gateway.verify rsync.compression source.recover source.wipe \
         zfs.export",
    ),
    (
        Type::Text,
        "alletra.cpg alletra.mode alletra.target alletra.user.name alletra.user.password alletra.wsapi \
         btrfs.mount_options ceph.cluster_name ceph.osd.data_pool_name ceph.osd.pg_num ceph.osd.pool_name \
         ceph.osd.pool_size ceph.rbd.features ceph.user.name cephfs.cluster_name cephfs.data_pool \
         cephfs.meta_pool cephfs.osd_pg_num cephfs.osd_pool_size cephfs.path cephfs.user.name \
         cephobject.bucket.name_prefix cephobject.cluster_name cephobject.radosgw.endpoint \
         cephobject.radosgw.endpoint_cert_file cephobject.user.name linstor.* lvm.thinpool_metadata_size \
         lvm.thinpool_name lvm.vg_name lvmcluster.* powerflex.domain powerflex.gateway powerflex.mode \
         powerflex.pool powerflex.sdt powerflex.user.name powerflex.user.password powerstore.gateway \
         powerstore.mode powerstore.target powerstore.user.name powerstore.user.password pure.api.token \
         pure.gateway pure.mode pure.target rsync.bwlimit size source truenas.* user.* volume.* volume.size \
         zfs.clone_copy zfs.pool_name",
    ),
];

/// Custom volumes in pools of any driver.
pub static STORAGE_VOLUME: Table = &[
    (
        Type::Bool,
        "security.shared security.shifted security.unmapped zfs.block_mode zfs.delegate zfs.promote \
         zfs.remove_snapshots zfs.reserve_space zfs.use_refquota",
    ),
    (
        Type::Text,
        "block.filesystem block.mount_options block.type initial.* lvm.stripes lvm.stripes.size size \
         snapshots.expiry snapshots.pattern snapshots.schedule user.* zfs.blocksize",
    ),
];

/// Projects.
pub static PROJECT: Table = &[
    (
        Type::Bool,
        "features.images features.networks features.networks.zones features.profiles features.storage.buckets \
         features.storage.volumes images.auto_update_cached restricted",
    ),
    (
        Type::Integer,
        "images.auto_update_interval images.remote_cache_expiry limits.containers limits.cpu limits.instances \
         limits.networks limits.processes limits.virtual-machines",
    ),
    (
        Type::Text,
        "backups.compression_algorithm images.compression_algorithm images.default_architecture limits.* \
         limits.disk limits.disk.pool.POOL_NAME limits.memory limits.networks.uplink_ips.ipv4.NETWORK_NAME \
         limits.networks.uplink_ips.ipv6.NETWORK_NAME replica.cluster restricted.* restricted.backups \
         restricted.cluster.groups restricted.cluster.target restricted.containers.interception \
         restricted.containers.lowlevel restricted.containers.nesting restricted.containers.privilege \
         restricted.devices.disk restricted.devices.disk.paths restricted.devices.gpu \
         restricted.devices.infiniband restricted.devices.nic restricted.devices.pci restricted.devices.proxy \
         restricted.devices.unix-block restricted.devices.unix-char restricted.devices.unix-hotplug \
         restricted.devices.usb restricted.idmap.gid restricted.idmap.uid restricted.networks.access \
         restricted.networks.subnets restricted.networks.uplinks restricted.networks.zones \
         restricted.snapshots restricted.virtual-machines.lowlevel user.*",
    ),
];

/// Network ACLs.
pub static NETWORK_ACL: Table = &[(Type::Text, "user.*")];
