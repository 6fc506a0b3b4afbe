//! A DCOM resolver and a client of it, over TCP with blocking sockets: `cargo run -p certadm-wire --example over_tcp`.
//!
//! The client binds `IObjectExporter` and calls ServerAlive2, which every DCOM server answers without authentication: the
//! version of the object protocol that it speaks, and the names under which it is reached. Whether a port is a DCOM
//! resolver at all shows in the same way.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use certadm_wire::dcom::{
    ComVersion, DualStringArray, Iid, ResolverRequest, ResolverResponse, ResolverStatus, SecurityBinding,
    StringBinding,
};
use certadm_wire::ndr::{ByteOrder, Reader, Writer};
use certadm_wire::rpc::{
    AuthType, Body, Call, ClientConnection, ClientEvent, ClientLimits, FaultBody, FaultStatus, Features,
    Flags, FragmentPlan, Header, MAX_FRAGMENT, Pdu, PduError, ResponseBody, ServerConnection, ServerEvent,
    ServerLimits, SyntaxId,
};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = std::thread::spawn(move || serve(Transport::over(listener.accept()?.0)));

    let (version, names) = ask(Transport::over(TcpStream::connect(address)?))?;
    println!(
        "the resolver at {address} speaks DCOM {}.{} and is called {names:?}",
        version.major, version.minor
    );
    assert_eq!((version, names), (ComVersion::OURS, vec!["ca1.example".to_owned()]));
    server.join().map_err(|_| "the server panicked")?
}

/// The client: bind, call, answer.
fn ask(mut transport: Transport) -> Result<(ComVersion, Vec<String>)> {
    let resolver = Iid::OBJECT_EXPORTER.syntax();
    let mut connection = ClientConnection::new(ClientLimits::default(), 0);
    transport.send(&connection.bind(&[resolver], Features::default(), None)?)?;
    let pdu = transport.next(|bytes| connection.peek(bytes))?.ok_or("no answer to the bind")?;
    let ClientEvent::Bound { .. } = connection.receive(&Pdu::decode(&pdu)?)? else {
        return Err("the bind is refused".into());
    };

    let request = ResolverRequest::ServerAlive2;
    let mut stub = Writer::new();
    request.write(&mut stub);
    let stub = stub.into_bytes();
    let call = connection.call(resolver, request.opnum(), None, stub.len(), None)?;
    for fragment in call.fragments.clone() {
        transport.send(&call.pdu(&fragment, &stub, None))?;
    }
    while let Some(pdu) = transport.next(|bytes| connection.peek(bytes))? {
        match connection.receive(&Pdu::decode(&pdu)?)? {
            ClientEvent::Answer { stub, .. } => {
                let mut reader = Reader::new(&stub, ByteOrder::Little);
                let response = ResolverResponse::read(request.opnum(), &mut reader)?;
                let ResolverResponse::Alive { version, bindings, .. } = response else {
                    return Err("the answer belongs to another method".into());
                };
                let bindings = bindings.unwrap_or_default();
                let names = bindings.tcp().map(|binding| binding.host_and_port().0.to_owned()).collect();
                return Ok((version, names));
            }
            ClientEvent::Fault { status, .. } => return Err(format!("the server answers {status:?}").into()),
            _ => {}
        }
    }
    Err("the server has closed the connection".into())
}

/// The server: one connection, until the client leaves.
fn serve(mut transport: Transport) -> Result<()> {
    let serves = |offered: &SyntaxId| *offered == Iid::OBJECT_EXPORTER.syntax();
    let mut connection = ServerConnection::new(ServerLimits::default(), b"135".to_vec(), 1, serves);
    while let Some(pdu) = transport.next(|bytes| connection.peek(bytes))? {
        match connection.receive(&Pdu::decode(&pdu)?) {
            ServerEvent::Send(answer) => transport.send(&answer)?,
            ServerEvent::Call(call) => answer(&mut transport, connection.max_transmit(), &call)?,
            ServerEvent::Refuse(last_words) => {
                if let Some(last_words) = last_words {
                    transport.send(&last_words)?;
                }
                return Ok(());
            }
            // Nobody can authenticate here, so that a leg of an authentication ends the connection.
            ServerEvent::Authenticate(_) => return Ok(()),
            _ => {}
        }
    }
    Ok(())
}

fn answer(transport: &mut Transport, max_transmit: u16, call: &Call<'_>) -> Result<()> {
    let mut reader = Reader::new(&call.stub, ByteOrder::Little);
    let Ok(ResolverRequest::ServerAlive2) = ResolverRequest::read(call.opnum, &mut reader) else {
        let status = FaultStatus::OPNUM_OUT_OF_RANGE;
        let body = FaultBody::plain(call.context_id, status);
        let (flags, call_id) = (Flags::ONLY, call.call_id);
        return transport.send(&Pdu { flags, call_id, body: Body::Fault(body), verifier: None });
    };
    let names = vec![StringBinding::resolver("ca1.example")];
    let response = ResolverResponse::Alive {
        version: ComVersion::OURS,
        bindings: Some(DualStringArray::new(names, vec![SecurityBinding::of(AuthType::NTLM)])?),
        status: ResolverStatus::OK,
    };
    let mut stub = Writer::new();
    response.write(&mut stub);
    let stub = stub.into_bytes();
    for fragment in FragmentPlan::new(stub.len(), max_transmit, false, None)? {
        let body = Body::Response(ResponseBody {
            alloc_hint: fragment.alloc_hint,
            context_id: call.context_id,
            cancel_count: 0,
            stub: &stub[fragment.range],
        });
        transport.send(&Pdu { flags: fragment.flags, call_id: call.call_id, body, verifier: None })?;
    }
    Ok(())
}

/// A stream, and what of it has arrived and is not used yet.
struct Transport {
    stream: TcpStream,
    arrived: Vec<u8>,
}

impl Transport {
    fn over(stream: TcpStream) -> Self {
        Self { stream, arrived: Vec::new() }
    }

    fn send(&mut self, pdu: &Pdu<'_>) -> Result<()> {
        let mut bytes = Vec::new();
        pdu.encode(&mut bytes)?;
        Ok(self.stream.write_all(&bytes)?)
    }

    /// The bytes of the next PDU; nothing when the peer has closed the connection.
    fn next(
        &mut self,
        peek: impl Fn(&[u8]) -> std::result::Result<Option<Header>, PduError>,
    ) -> Result<Option<Vec<u8>>> {
        loop {
            if let Some(header) = peek(&self.arrived)? {
                let length = usize::from(header.fragment_length);
                if length <= self.arrived.len() {
                    return Ok(Some(self.arrived.drain(..length).collect()));
                }
            }
            let mut some = [0; MAX_FRAGMENT as usize];
            match self.stream.read(&mut some)? {
                0 if self.arrived.is_empty() => return Ok(None),
                0 => return Err("the connection was cut inside a PDU".into()),
                count => self.arrived.extend_from_slice(&some[..count]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_client_finds_the_resolver() {
        super::main().unwrap();
    }
}
