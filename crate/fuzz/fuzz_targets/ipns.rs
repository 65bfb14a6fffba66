//! Signed records: as they come, and with data of any kind that the right key signed.
#![no_main]

use core::time::Duration;

use libfuzzer_sys::fuzz_target;
use polypeer::records::{Namespace, Validator};
use polypeer::wire::protobuf::Writer;
use polypeer_fuzz::keypair;

fuzz_target!(|data: &[u8]| {
    let (keypair, ipns) = (keypair(1), Namespace::ipns());
    let own = Namespace::new("own").unwrap();
    for (namespace, domain) in [(&ipns, &b"ipns-signature:"[..]), (&own, b"own-signature:")] {
        let key = namespace.key(&keypair.peer_id(), b"");
        let signature = keypair.sign(&[domain, data].concat()).unwrap();
        let mut signed = Vec::new();
        Writer(&mut signed).bytes(8, &signature).bytes(9, data);
        for bytes in [data, &signed] {
            let Ok(record) = namespace.verify(&key, bytes) else { continue };
            let _ = record.check_time(Duration::from_secs(1));
            // What was read can be said again, and means the same.
            if let Ok(again) = namespace.sign(&keypair, b"", record.content().clone()) {
                assert_eq!(again.content(), record.content());
            }
            assert!(!namespace.is_better(&key, bytes, bytes));
        }
    }
    let _ = ipns.verify(data, data);
    let _ = own.is_better(data, data, data);
});
