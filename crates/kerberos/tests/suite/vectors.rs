//! The vectors of RFC 3961 A.1, RFC 3962 B and RFC 8009 A.

use certadm_kerberos::crypto::parts::{cts_decrypt, cts_encrypt, kdf_hmac_sha2, n_fold};
use certadm_kerberos::crypto::{Etype, IntegrityError, Key, KeyUsage, UsageKeys, string_to_key};

fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|digit| !digit.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn rfc_3961_a_1_n_fold() {
    for (input, size, folded) in [
        (&b"012345"[..], 8, "be072631276b1955"),
        (b"password", 7, "78a07b6caf85fa"),
        (b"Rough Consensus, and Running Code", 8, "bb6ed30870b7f0e0"),
        (b"password", 21, "59e4a8ca7c0385c3c37b3f6d2000247cb6e6bd5b3e"),
        (b"MASSACHVSETTS INSTITVTE OF TECHNOLOGY", 24, "db3b0d8f0b061e603282b308a50841229ad798fab9540c1b"),
        (b"Q", 21, "518a54a2 15a8452a 518a54a2 15a8452a 518a54a2 15"),
        (b"ba", 21, "fb25d531 ae897449 9f52fd92 ea9857c4 ba24cf29 7e"),
        (b"kerberos", 8, "6b65726265726f73"),
        (b"kerberos", 16, "6b65726265726f737b9b5b2b93132b93"),
        (b"kerberos", 21, "8372c236344e5f1550cd0747e15d62ca7a5a3bcea4"),
        (b"kerberos", 32, "6b65726265726f737b9b5b2b93132b935c9bdcdad95c9899c4cae4dee6d6cae4"),
    ] {
        assert_eq!(n_fold(input, size), hex(folded), "{}", input.escape_ascii());
    }
}

#[test]
fn rfc_3962_b_string_to_key() {
    let clef = "\u{1d11e}";
    let (x64, x65) = ("X".repeat(64), "X".repeat(65));
    for (iterations, password, salt, small, large) in [
        (
            1,
            "password",
            &b"ATHENA.MIT.EDUraeburn"[..],
            "42 26 3c 6e 89 f4 fc 28 b8 df 68 ee 09 79 9f 15",
            "fe 69 7b 52 bc 0d 3c e1 44 32 ba 03 6a 92 e6 5b bb 52 28 09 90 a2 fa 27 88 39 98 d7 2a f3 01 61",
        ),
        (
            2,
            "password",
            b"ATHENA.MIT.EDUraeburn",
            "c6 51 bf 29 e2 30 0a c2 7f a4 69 d6 93 bd da 13",
            "a2 e1 6d 16 b3 60 69 c1 35 d5 e9 d2 e2 5f 89 61 02 68 56 18 b9 59 14 b4 67 c6 76 22 22 58 24 ff",
        ),
        (
            1200,
            "password",
            b"ATHENA.MIT.EDUraeburn",
            "4c 01 cd 46 d6 32 d0 1e 6d be 23 0a 01 ed 64 2a",
            "55 a6 ac 74 0a d1 7b 48 46 94 10 51 e1 e8 b0 a7 54 8d 93 b0 ab 30 a8 bc 3f f1 62 80 38 2b 8c 2a",
        ),
        (
            5,
            "password",
            &[0x12, 0x34, 0x56, 0x78, 0x78, 0x56, 0x34, 0x12],
            "e9 b2 3d 52 27 37 47 dd 5c 35 cb 55 be 61 9d 8e",
            "97 a4 e7 86 be 20 d8 1a 38 2d 5e bc 96 d5 90 9c ab cd ad c8 7c a4 8f 57 45 04 15 9f 16 c3 6e 31",
        ),
        (
            1200,
            &x64,
            b"pass phrase equals block size",
            "59 d1 bb 78 9a 82 8b 1a a5 4e f9 c2 88 3f 69 ed",
            "89 ad ee 36 08 db 8b c7 1f 1b fb fe 45 94 86 b0 56 18 b7 0c ba e2 20 92 53 4e 56 c5 53 ba 4b 34",
        ),
        (
            1200,
            &x65,
            b"pass phrase exceeds block size",
            "cb 80 05 dc 5f 90 17 9a 7f 02 10 4c 00 18 75 1d",
            "d7 8c 5c 9c b8 72 a8 c9 da d4 69 7f 0b b5 b2 d2 14 96 c8 2b eb 2c ae da 21 12 fc ee a0 57 40 1b",
        ),
        (
            50,
            clef,
            b"EXAMPLE.COMpianist",
            "f1 49 c1 f2 e1 54 a7 34 52 d4 3e 7f e6 2a 56 e5",
            "4b 6d 98 39 f8 44 06 df 1f 09 cc 16 6d b4 b8 3c 57 18 48 b7 84 a3 d6 bd c3 46 58 9a 3e 39 3f 9e",
        ),
    ] {
        for (etype, key) in [(Etype::Aes128Sha1, small), (Etype::Aes256Sha1, large)] {
            let made = string_to_key(etype, password, salt, &u32::to_be_bytes(iterations)).unwrap();
            assert_eq!(made.expose(), hex(key), "{iterations} {password}");
        }
    }
}

#[test]
fn rfc_3962_b_ciphertext_stealing() {
    let text = b"I would like the General Gau's Chicken, please, and wonton soup.";
    for (length, cipher) in [
        (17, "c6 35 35 68 f2 bf 8c b4 d8 a5 80 36 2d a7 ff 7f 97"),
        (31, "fc 00 78 3e 0e fd b2 c1 d4 45 d4 c8 ef f7 ed 22 97 68 72 68 d6 ec cc c0 c0 7b 25 e2 5e cf e5"),
        (
            32,
            "39 31 25 23 a7 86 62 d5 be 7f cb cc 98 eb f5 a8 97 68 72 68 d6 ec cc c0 c0 7b 25 e2 5e cf e5 84",
        ),
        (
            47,
            "97 68 72 68 d6 ec cc c0 c0 7b 25 e2 5e cf e5 84 b3 ff fd 94 0c 16 a1 8c 1b 55 49 d2 f8 38 02 9e \
             39 31 25 23 a7 86 62 d5 be 7f cb cc 98 eb f5",
        ),
        (
            48,
            "97 68 72 68 d6 ec cc c0 c0 7b 25 e2 5e cf e5 84 9d ad 8b bb 96 c4 cd c0 3b c1 03 e1 a1 94 bb d8 \
             39 31 25 23 a7 86 62 d5 be 7f cb cc 98 eb f5 a8",
        ),
        (
            64,
            "97 68 72 68 d6 ec cc c0 c0 7b 25 e2 5e cf e5 84 39 31 25 23 a7 86 62 d5 be 7f cb cc 98 eb f5 a8 \
             48 07 ef e8 36 ee 89 a5 26 73 0d bc 2f 7b c8 40 9d ad 8b bb 96 c4 cd c0 3b c1 03 e1 a1 94 bb d8",
        ),
    ] {
        let mut data = text[..length].to_vec();
        cts_encrypt(b"chicken teriyaki", &mut data);
        assert_eq!(data, hex(cipher), "{length}");
        cts_decrypt(b"chicken teriyaki", &mut data);
        assert_eq!(data, &text[..length]);
    }
}

#[test]
fn rfc_8009_a_string_to_key() {
    let salt = [&hex("10DF9DD783E5BC8ACEA1730E74355F61")[..], b"ATHENA.MIT.EDUraeburn"].concat();
    for (etype, key) in [
        (Etype::Aes128Sha256, "089BCA48B105EA6EA77CA5D2F39DC5E7"),
        (Etype::Aes256Sha384, "45BD806DBF6A833A9CFFC1C94589A222367A79BC21C413718906E9F578A78467"),
    ] {
        assert_eq!(string_to_key(etype, "password", &salt, &[]).unwrap().expose(), hex(key));
        let given = string_to_key(etype, "password", &salt, &32_768_u32.to_be_bytes()).unwrap();
        assert_eq!(given.expose(), hex(key));
    }
}

const SMALL: &str = "3705D96080C17728A0E800EAB6E0D23C";
const LARGE: &str = "6D404D37FAF79F9DF0D33568D320669800EB4836472EA8A026D16B7182460C52";

#[test]
fn rfc_8009_a_key_derivation() {
    for (etype, base, purpose, derived) in [
        (Etype::Aes128Sha256, SMALL, 0x99, "B31A018A48F54776F403E9A396325DC3"),
        (Etype::Aes128Sha256, SMALL, 0xaa, "9B197DD1E8C5609D6E67C3E37C62C72E"),
        (Etype::Aes128Sha256, SMALL, 0x55, "9FDA0E56AB2D85E1569A688696C26A6C"),
        (Etype::Aes256Sha384, LARGE, 0x99, "EF5718BE86CC84963D8BBB5031E9F5C4BA41F28FAF69E73D"),
        (
            Etype::Aes256Sha384,
            LARGE,
            0xaa,
            "56AB22BEE63D82D7BC5227F6773F8EA7A5EB1C825160C38312980C442E5C7E49",
        ),
        (Etype::Aes256Sha384, LARGE, 0x55, "69B16514E3CD8E56B82010D5C73012B622C4D00FFC23ED1F"),
    ] {
        let derived = hex(derived);
        assert_eq!(*kdf_hmac_sha2(etype, &hex(base), &[0, 0, 0, 2, purpose], derived.len()), derived);
    }
}

#[test]
fn rfc_8009_a_encryption() {
    for (etype, base, plain, confounder, cipher) in [
        (
            Etype::Aes128Sha256,
            SMALL,
            "",
            "7E5895EAF2672435BAD817F545A37148",
            "EF85FB890BB8472F4DAB20394DCA781DAD877EDA39D50C870C0D5A0A8E48C718",
        ),
        (
            Etype::Aes128Sha256,
            SMALL,
            "000102030405",
            "7BCA285E2FD4130FB55B1A5C83BC5B24",
            "84D7F30754ED987BAB0BF3506BEB09CFB55402CEF7E6877CE99E247E52D16ED4421DFDF8976C",
        ),
        (
            Etype::Aes128Sha256,
            SMALL,
            "000102030405060708090A0B0C0D0E0F",
            "56AB21713FF62C0A1457200F6FA9948F",
            "3517D640F50DDC8AD3628722B3569D2AE07493FA8263254080EA65C1008E8FC295FB4852E7D83E1E7C48C37EEBE6B0D3",
        ),
        (
            Etype::Aes128Sha256,
            SMALL,
            "000102030405060708090A0B0C0D0E0F1011121314",
            "A7A4E29A4728CE10664FB64E49AD3FAC",
            "720F73B18D9859CD6CCB4346115CD336C70F58EDC0C4437C5573544C31C813BCE1E6D072C186B39A413C2F92CA9B8334\
             A287FFCBFC",
        ),
        (
            Etype::Aes256Sha384,
            LARGE,
            "",
            "F764E9FA15C276478B2C7D0C4E5F58E4",
            "41F53FA5BFE7026D91FAF9BE959195A058707273A96A40F0A01960621AC612748B9BBFBE7EB4CE3C",
        ),
        (
            Etype::Aes256Sha384,
            LARGE,
            "000102030405",
            "B80D3251C1F6471494256FFE712D0B9A",
            "4ED7B37C2BCAC8F74F23C1CF07E62BC7B75FB3F637B9F559C7F664F69EAB7B6092237526EA0D1F61CB20D69D10F2",
        ),
        (
            Etype::Aes256Sha384,
            LARGE,
            "000102030405060708090A0B0C0D0E0F",
            "53BF8A0D105265D4E276428624CE5E63",
            "BC47FFEC7998EB91E8115CF8D19DAC4BBBE2E163E87DD37F49BECA92027764F68CF51F14D798C2273F35DF574D1F932E\
             40C4FF255B36A266",
        ),
        (
            Etype::Aes256Sha384,
            LARGE,
            "000102030405060708090A0B0C0D0E0F1011121314",
            "763E65367E864F02F55153C7E3B58AF1",
            "40013E2DF58E8751957D2878BCD2D6FE101CCFD556CB1EAE79DB3C3EE86429F2B2A602AC86FEF6ECB647D6295FAE077A\
             1FEB517508D2C16B4192E01F62",
        ),
    ] {
        let keys = UsageKeys::new(&Key::new(etype, &hex(base)).unwrap(), KeyUsage(2));
        let made = keys.encrypt(&hex(plain), hex(confounder).try_into().unwrap());
        assert_eq!(made, hex(cipher), "{etype} {plain}");
        assert_eq!(*keys.decrypt(&made).unwrap(), hex(plain));
    }
}

#[test]
fn rfc_8009_a_checksum() {
    let text = hex("000102030405060708090A0B0C0D0E0F1011121314");
    for (etype, base, sum) in [
        (Etype::Aes128Sha256, SMALL, "D78367186643D67B411CBA9139FC1DEE"),
        (Etype::Aes256Sha384, LARGE, "45EE791567EEFCA37F4AC1E0222DE80D43C3BFA06699672A"),
    ] {
        let keys = UsageKeys::new(&Key::new(etype, &hex(base)).unwrap(), KeyUsage(2));
        assert_eq!(keys.checksum(&[&text[..5], &text[5..]]), hex(sum));
        assert_eq!(keys.verify_checksum(&[&text], &hex(sum)), Ok(()));
        assert_eq!(keys.verify_checksum(&[&text[1..]], &hex(sum)), Err(IntegrityError));
    }
}

#[test]
fn nothing_altered_or_cut_decrypts() {
    for etype in Etype::ALL {
        let key = Key::new(etype, &[7; 32][..etype.key_size()]).unwrap();
        let keys = UsageKeys::new(&key, KeyUsage::TICKET);
        for length in 0..50 {
            let plain = vec![1; length];
            let cipher = keys.encrypt(&plain, [9; 16]);
            assert_eq!(*keys.decrypt(&cipher).unwrap(), plain);
            assert_eq!(UsageKeys::new(&key, KeyUsage(3)).decrypt(&cipher).err(), Some(IntegrityError));
            for at in 0..cipher.len() {
                let mut altered = cipher.clone();
                altered[at] ^= 1;
                assert_eq!(keys.decrypt(&altered).err(), Some(IntegrityError), "{etype} {length} {at}");
                assert_eq!(keys.decrypt(&cipher[..at]).err(), Some(IntegrityError));
            }
        }
    }
}

#[test]
fn keys_and_iterations_have_bounds() {
    assert!(Key::new(Etype::Aes256Sha1, &[0; 16]).is_none());
    assert_eq!(
        format!("{:?}", Key::new(Etype::Aes128Sha1, &[0x77; 16]).unwrap()),
        "Key(aes128-cts-hmac-sha1-96, ..)"
    );
    for parameters in [&[0, 0, 0, 0][..], &[0xff; 4], &[0, 0x98, 0x96, 0x81], &[1], &[0, 0, 0, 0, 1]] {
        assert!(string_to_key(Etype::Aes256Sha1, "p", b"s", parameters).is_err(), "{parameters:?}");
    }
}
