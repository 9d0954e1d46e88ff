//! `linux.resources.blockIO`: blkio on v1, io on v2.

use super::{List, Version, path};
use crate::bundle::config::{BlockIo, ThrottleDevice};
use crate::cgroup::convert;
use crate::error::{Error, Result};

impl List<'_> {
    pub(super) fn block_io(&mut self, io: &BlockIo) -> Result<()> {
        self.weight("", "blockIO.weight", io.weight)?;
        leaf("blockIO.leafWeight", io.leaf_weight)?;
        for (index, device) in io.weight_device.iter().enumerate() {
            let field = format!("blockIO.weightDevice[{index}]");
            self.weight(&format!("{}:{} ", device.major, device.minor), &field, device.weight)?;
            leaf(&format!("{field}.leafWeight"), device.leaf_weight)?;
        }
        let throttles: [(&[ThrottleDevice], _, _, _); 4] = [
            (&io.throttle_read_bps_device, "throttleReadBpsDevice", "read_bps", "rbps"),
            (&io.throttle_write_bps_device, "throttleWriteBpsDevice", "write_bps", "wbps"),
            (&io.throttle_read_iops_device, "throttleReadIOPSDevice", "read_iops", "riops"),
            (&io.throttle_write_iops_device, "throttleWriteIOPSDevice", "write_iops", "wiops"),
        ];
        for (devices, field, v1, v2) in throttles {
            for (index, ThrottleDevice { major, minor, rate }) in devices.iter().enumerate() {
                let field = format!("blockIO.{field}[{index}]");
                let controller = self.io();
                let value = match self.version(controller, &field)? {
                    // 0 removes the limit on v1.
                    Version::V1 => format!("{major}:{minor} {rate}"),
                    Version::V2 if *rate == 0 => format!("{major}:{minor} {v2}=max"),
                    Version::V2 => format!("{major}:{minor} {v2}={rate}"),
                };
                let file = format!("blkio.throttle.{v1}_device");
                self.put(controller, &field, &[(&file, "io.max", &value)])?;
            }
        }
        Ok(())
    }

    /// The controller's name here.
    fn io(&self) -> &'static str {
        if self.layout.is_pure_v2() || self.layout.version("io").is_some() { "io" } else { "blkio" }
    }

    fn weight(&mut self, device: &str, field: &str, weight: Option<u16>) -> Result<()> {
        let Some(weight) = weight.filter(|weight| *weight != 0) else { return Ok(()) };
        if !(10..=1000).contains(&weight) {
            return Err(Error::new(format!("{weight} is not between 10 and 1000")).context(path(field)));
        }
        let suffix = if device.is_empty() { "" } else { "_device" };
        let (cfq, bfq) = (format!("blkio.weight{suffix}"), format!("blkio.bfq.weight{suffix}"));
        let value = format!("{device}{weight}");
        let converted = convert::io_weight(weight).unwrap_or_default();
        let list = self.put(self.io(), field, &[(&cfq, "io.bfq.weight", &value)])?;
        list.otherwise((&bfq, value), ("io.weight", format!("{device}{converted}")));
        Ok(())
    }
}

fn leaf(field: &str, weight: Option<u16>) -> Result<()> {
    match weight {
        None | Some(0) => Ok(()),
        Some(_) => Err(Error::new("needs the CFQ scheduler, which Linux 5.0 removed")
            .hint("Remove the property")
            .context(path(field))),
    }
}
