#![no_main]
use libfuzzer_sys::fuzz_target;
use polypeer::Multiaddr;

fuzz_target!(|data: &[u8]| {
    if let Ok(address) = Multiaddr::from_bytes(data) {
        assert_eq!(address.as_bytes(), data);
        assert_eq!(address.to_string().parse().as_ref(), Ok(&address));
        assert_eq!(Multiaddr::empty().concat(&address), address);
        let mut rebuilt = Multiaddr::empty();
        for protocol in address.iter() {
            rebuilt.push(protocol).unwrap();
        }
        assert_eq!(rebuilt, address);
        let _ = (address.peer_id(), address.without_peer(), address.is_circuit());
    }
});
