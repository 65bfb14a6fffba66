//! A gateway of UPnP IGD.

use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::super::MappingOptions;
use super::Asked;

/// It speaks SSDP on one port, HTTP on another.
pub(super) struct Upnp {
    pub(super) options: MappingOptions,
    pub(super) asked: UnboundedReceiver<Asked>,
}

pub(super) struct Manners {
    pub(super) external: &'static str,
    /// Ports that other hosts have.
    pub(super) taken: Vec<u16>,
    /// Leases must be for ever.
    pub(super) permanent: bool,
    pub(super) forbidden: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self { external: "50.1.1.1", taken: Vec::new(), permanent: false, forbidden: false }
    }
}

impl Upnp {
    pub(super) async fn start(manners: Manners) -> Self {
        let ssdp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let http = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let options = MappingOptions {
            nat_pmp: false,
            search: ssdp.local_addr().unwrap(),
            lease: std::time::Duration::from_secs(1),
            ..MappingOptions::default()
        };
        let root = format!("http://{}/root.xml", http.local_addr().unwrap());
        tokio::spawn(async move {
            let mut question = [0; 2048];
            while let Ok((length, from)) = ssdp.recv_from(&mut question).await {
                assert!(question[..length].starts_with(b"M-SEARCH * HTTP/1.1\r\n"));
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nST: {IGD}\r\nUSN: uuid:1::{IGD}\r\nLOCATION: {root}\r\n\r\n"
                );
                ssdp.send_to(answer.as_bytes(), from).await.unwrap();
            }
        });
        let (sender, asked) = unbounded_channel();
        tokio::spawn(async move {
            let manners = Arc::new(manners);
            while let Ok((stream, _)) = http.accept().await {
                tokio::spawn(serve(stream, manners.clone(), sender.clone()));
            }
        });
        Self { options, asked }
    }
}

const IGD: &str = "urn:schemas-upnp-org:device:InternetGatewayDevice:1";
const SERVICE: &str = "urn:schemas-upnp-org:service:WANIPConnection:1";

/// Answers one request.
async fn serve(stream: TcpStream, manners: Arc<Manners>, asked: UnboundedSender<Asked>) {
    let mut stream = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let body = String::from_utf8(body).unwrap();
    let (status, text) = if head.starts_with("GET /root.xml") {
        ("200 OK", description())
    } else if head.starts_with("GET /scpd.xml") {
        ("200 OK", schema())
    } else {
        act(&head, &body, &manners, &asked)
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
}

fn description() -> String {
    format!(
        "<?xml version=\"1.0\"?><root xmlns=\"urn:schemas-upnp-org:device-1-0\"><device>\
         <deviceType>{IGD}</deviceType><deviceList><device>\
         <deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType><deviceList><device>\
         <deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType><serviceList>\
         <service><serviceType>{SERVICE}</serviceType><serviceId>urn:upnp-org:serviceId:WANIPConn1\
         </serviceId><SCPDURL>/scpd.xml</SCPDURL><controlURL>/control</controlURL>\
         <eventSubURL>/events</eventSubURL></service></serviceList></device></deviceList>\
         </device></deviceList></device></root>"
    )
}

fn schema() -> String {
    let action = |name: &str, arguments: &[&str]| {
        let arguments: String = arguments
            .iter()
            .map(|name| {
                format!("<argument><name>{name}</name><direction>in</direction></argument>")
            })
            .collect();
        format!("<action><name>{name}</name><argumentList>{arguments}</argumentList></action>")
    };
    let map = [
        "NewRemoteHost",
        "NewExternalPort",
        "NewProtocol",
        "NewInternalPort",
        "NewInternalClient",
        "NewEnabled",
        "NewPortMappingDescription",
        "NewLeaseDuration",
    ];
    format!(
        "<?xml version=\"1.0\"?><scpd xmlns=\"urn:schemas-upnp-org:service-1-0\"><actionList>{}{}{}\
         </actionList></scpd>",
        action("AddPortMapping", &map),
        action("DeletePortMapping", &["NewRemoteHost", "NewExternalPort", "NewProtocol"]),
        action("GetExternalIPAddress", &[]),
    )
}

fn act(
    head: &str,
    body: &str,
    manners: &Manners,
    asked: &UnboundedSender<Asked>,
) -> (&'static str, String) {
    let value = |name: &str| {
        let from = body.find(&format!("<{name}")).unwrap();
        let rest = &body[from..];
        let (_, rest) = rest.split_once('>').unwrap();
        rest.split_once('<').unwrap().0.to_owned()
    };
    let number = |name: &str| value(name).parse::<u32>().unwrap();
    let fault = |code: u16| {
        let text = format!(
            "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>\
             <UPnPError xmlns=\"urn:schemas-upnp-org:control-1-0\"><errorCode>{code}</errorCode>\
             <errorDescription>no</errorDescription></UPnPError></detail></s:Fault>"
        );
        ("500 Internal Server Error", text)
    };
    let done = |action: &str, inner: &str| {
        (
            "200 OK",
            format!("<u:{action}Response xmlns:u=\"{SERVICE}\">{inner}</u:{action}Response>"),
        )
    };
    let (status, inner) = if head.contains("#GetExternalIPAddress") {
        let ip = format!("<NewExternalIPAddress>{}</NewExternalIPAddress>", manners.external);
        done("GetExternalIPAddress", &ip)
    } else if head.contains("#AddPortMapping") {
        let (external, lease) = (number("NewExternalPort"), number("NewLeaseDuration"));
        let external = u16::try_from(external).unwrap();
        let internal = u16::try_from(number("NewInternalPort")).unwrap();
        if manners.forbidden {
            fault(606)
        } else if manners.taken.contains(&external) {
            fault(718)
        } else if manners.permanent && lease != 0 {
            fault(725)
        } else {
            // A test that is over asks no more.
            let _ = asked.send(Asked::Map(external, internal, lease));
            done("AddPortMapping", "")
        }
    } else {
        let _ = asked.send(Asked::Unmap(u16::try_from(number("NewExternalPort")).unwrap()));
        done("DeletePortMapping", "")
    };
    let text = format!(
        "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\">\
         <s:Body>{inner}</s:Body></s:Envelope>"
    );
    (status, text)
}
