#![no_main]
use libfuzzer_sys::fuzz_target;
use polypeer::Multiaddr;

fuzz_target!(|text: &str| {
    match text.parse::<Multiaddr>() {
        Ok(address) => {
            assert_eq!(Multiaddr::from_bytes(address.as_bytes()).as_ref(), Ok(&address));
            assert_eq!(address.to_string().parse().as_ref(), Ok(&address));
        }
        Err(error) => assert!(error.offset <= text.len() && !error.to_string().is_empty()),
    }
});
