//! sspi's own sealing against ours, so that the session security is judged by another hand as well as the handshake.

use certadm_auth::{AuthType, Segments};
use sspi::ntlm::NtlmConfig;
use sspi::{
    AuthIdentity, BufferType, ClientRequestFlags, CredentialUse, DataRepresentation, EncryptionFlags,
    Negotiate, NegotiateConfig, Ntlm, SecurityBuffer, SecurityBufferFlags, SecurityBufferRef, Sspi, SspiImpl,
    Username,
};

use crate::world::{PRIVACY, acceptor, pdu, seal, unseal};

fn identity() -> AuthIdentity {
    AuthIdentity {
        username: Username::new("alice", Some("CORP")).unwrap(),
        password: "Pa55-wörd".to_owned().into(),
    }
}

#[test]
fn raw_ntlm() {
    let mut package = Ntlm::with_config(NtlmConfig::default());
    let identity = identity();
    let handle = package
        .acquire_credentials_handle()
        .with_credential_use(CredentialUse::Outbound)
        .with_auth_data(&identity)
        .execute(&mut package)
        .unwrap()
        .credentials_handle;
    for auth_type in [AuthType::NTLM, AuthType::SPNEGO] {
        exchange(package.clone(), handle.clone(), auth_type);
    }
}

#[test]
fn spnego() {
    let config = NegotiateConfig::new(
        Box::new(NtlmConfig::default()),
        Some("ntlm,!kerberos".to_owned()),
        "client".to_owned(),
    );
    let mut package = Negotiate::new_client(config).unwrap();
    let identity = sspi::Credentials::AuthIdentity(identity());
    let handle = package
        .acquire_credentials_handle()
        .with_credential_use(CredentialUse::Outbound)
        .with_auth_data(&identity)
        .execute(&mut package)
        .unwrap()
        .credentials_handle;
    exchange(package, handle, AuthType::SPNEGO);
}

/// Handshake, then 200 PDUs of 4000 bytes and 2 of 1 MiB each way, then an altered header.
fn exchange<P: Sspi + SspiImpl>(mut client: P, mut handle: P::CredentialsHandle, auth_type: AuthType) {
    let mut server = acceptor(auth_type);
    let mut token = Vec::new();
    let mut done = loop {
        let out = initialize(&mut client, &mut handle, token);
        let step = server.step(&out).unwrap();
        token = step.token_out;
        if let Some(done) = step.done {
            if !token.is_empty() {
                initialize(&mut client, &mut handle, token);
            }
            break done;
        }
    };

    let sizes = std::iter::repeat_n(4000, 200).chain([1 << 20, 1 << 20]);
    for (size, filler) in sizes.zip((0..u8::MAX).cycle()) {
        let body = vec![filler; size];
        let mut there = pdu(&body);
        sspi_seal(&mut client, &mut there);
        assert!(unseal(&mut done.unsealer, PRIVACY, &mut there).unwrap() == body);
        let mut back = seal(&mut done.sealer, PRIVACY, &body);
        sspi_unseal(&mut client, &mut back).unwrap();
        assert!(back[24..24 + size] == body);
    }

    let mut back = seal(&mut done.sealer, PRIVACY, b"the header is signed");
    back[3] ^= 1;
    assert!(sspi_unseal(&mut client, &mut back).is_err());
    let mut there = pdu(b"the header is signed");
    sspi_seal(&mut client, &mut there);
    there[3] ^= 1;
    assert!(unseal(&mut done.unsealer, PRIVACY, &mut there).is_err());
}

fn initialize<P: Sspi + SspiImpl>(
    client: &mut P,
    handle: &mut P::CredentialsHandle,
    token_in: Vec<u8>,
) -> Vec<u8> {
    let mut input = [SecurityBuffer::new(token_in, BufferType::Token)];
    let mut output = [SecurityBuffer::new(Vec::new(), BufferType::Token)];
    let mut builder = client
        .initialize_security_context()
        .with_credentials_handle(handle)
        .with_context_requirements(
            ClientRequestFlags::USE_DCE_STYLE
                | ClientRequestFlags::CONFIDENTIALITY
                | ClientRequestFlags::INTEGRITY,
        )
        .with_target_data_representation(DataRepresentation::Native)
        .with_target_name("HOST/ca1")
        .with_input(&mut input)
        .with_output(&mut output);
    client.initialize_security_context_impl(&mut builder).unwrap().resolve_to_result().unwrap();
    let [token] = output;
    token.buffer
}

fn sspi_seal(client: &mut impl Sspi, pdu: &mut [u8]) {
    let (segments, token) = Segments::split(pdu, 24, 16).unwrap();
    let (mut header, mut trailer) = (segments.header.to_vec(), segments.trailer.to_vec());
    let mut buffers = [
        SecurityBufferRef::data_buf(&mut header)
            .with_flags(SecurityBufferFlags::SECBUFFER_READONLY_WITH_CHECKSUM),
        SecurityBufferRef::data_buf(segments.body),
        SecurityBufferRef::data_buf(&mut trailer)
            .with_flags(SecurityBufferFlags::SECBUFFER_READONLY_WITH_CHECKSUM),
        SecurityBufferRef::token_buf(token),
    ];
    client.encrypt_message(EncryptionFlags::empty(), &mut buffers).unwrap();
}

fn sspi_unseal(client: &mut impl Sspi, pdu: &mut [u8]) -> sspi::Result<()> {
    let (segments, token) = Segments::split(pdu, 24, 16).unwrap();
    let (mut header, mut trailer) = (segments.header.to_vec(), segments.trailer.to_vec());
    let mut buffers = [
        SecurityBufferRef::data_buf(&mut header)
            .with_flags(SecurityBufferFlags::SECBUFFER_READONLY_WITH_CHECKSUM),
        SecurityBufferRef::data_buf(segments.body),
        SecurityBufferRef::data_buf(&mut trailer)
            .with_flags(SecurityBufferFlags::SECBUFFER_READONLY_WITH_CHECKSUM),
        SecurityBufferRef::token_buf(token),
    ];
    client.decrypt_message(&mut buffers).map(|_| ())
}
