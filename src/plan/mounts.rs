//! `mounts` of the configuration, turned into what the kernel's mount interface takes (config.md "Mounts").
