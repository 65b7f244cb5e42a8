use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const FIN: u8 = 0x80;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// What `Incoming` says, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Got {
    Message(String),
    Ping(Vec<u8>),
    Pong,
    Close(Option<(u16, String)>),
}

fn message(text: &str) -> Got {
    Got::Message(text.to_owned())
}

/// The length in one of its three forms, whether it fits or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Short,
    Medium,
    Long,
}

fn form_of(len: usize) -> Form {
    match len {
        0..=125 => Form::Short,
        126..=0xffff => Form::Medium,
        _ => Form::Long,
    }
}

fn header(first: u8, form: Form, len: u64, mask: Option<[u8; 4]>) -> Vec<u8> {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match form {
        Form::Short => bytes.push(masked | len as u8),
        Form::Medium => {
            bytes.push(masked | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        Form::Long => {
            bytes.push(masked | 127);
            bytes.extend(len.to_be_bytes());
        }
    }
    bytes.extend(mask.iter().flatten());
    bytes
}

fn frame_as(first: u8, form: Form, mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, form, payload.len() as u64, Some(mask));
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    frame_as(first, form_of(payload.len()), MASK, payload)
}

fn close_payload(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason].concat()
}

fn decoder() -> Decoder {
    Decoder::new(1 << 20, 1_000)
}

/// Everything in the chunks, and the error that ended it.
fn decode_with<'a>(
    decoder: &mut Decoder,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Got>, Option<ProtocolError>) {
    let mut all = Vec::new();
    for chunk in chunks {
        let mut chunk = chunk.to_vec();
        let mut rest = &mut chunk[..];
        loop {
            match decoder.next(&mut rest) {
                Ok(Some(Incoming::Message(text))) => all.push(Got::Message(text.into_owned())),
                Ok(Some(Incoming::Ping(payload))) => all.push(Got::Ping(payload.into_owned())),
                Ok(Some(Incoming::Pong(_))) => all.push(Got::Pong),
                Ok(Some(Incoming::Close(close))) => all.push(Got::Close(close)),
                Ok(None) => break,
                Err(error) => return (all, Some(error)),
            }
        }
        assert!(rest.is_empty(), "all of a chunk is used");
    }
    (all, None)
}

fn decoded(bytes: &[u8]) -> Vec<Got> {
    let (all, error) = decode_with(&mut decoder(), [bytes]);
    assert_eq!(error, None, "{bytes:02x?}");
    all
}

fn code_of(bytes: &[u8]) -> u16 {
    let (all, error) = decode_with(&mut decoder(), [bytes]);
    error.unwrap_or_else(|| panic!("{bytes:02x?} gave {all:?}")).close_code()
}

#[test]
fn reserved_bits_are_refused() {
    for bit in [0x40, 0x20, 0x10] {
        for opcode in [TEXT, BINARY, CLOSE, PING, PONG] {
            assert_eq!(code_of(&frame(FIN | bit | opcode, "")), 1002);
        }
    }
}

#[test]
fn unknown_opcodes_are_refused() {
    for opcode in [0x3, 0x4, 0x5, 0x6, 0x7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        assert_eq!(code_of(&frame(FIN | opcode, "")), 1002, "{opcode:x}");
    }
}

#[test]
fn frames_out_of_sequence_are_refused() {
    assert_eq!(code_of(&frame(FIN, "of nothing")), 1002);
    assert_eq!(code_of(&[frame(TEXT, "a"), frame(FIN | TEXT, "b")].concat()), 1002);
    assert_eq!(code_of(&[frame(TEXT, "a"), frame(BINARY, "b")].concat()), 1002);
    let ended = [frame(TEXT, "a"), frame(FIN, "b"), frame(FIN, "c")].concat();
    assert_eq!(code_of(&ended), 1002);
}

#[test]
fn unmasked_frames_are_refused() {
    for opcode in [TEXT, BINARY, CLOSE, PING, PONG] {
        assert_eq!(code_of(&header(FIN | opcode, Form::Short, 0, None)), 1002);
    }
}

#[test]
fn control_frames_are_short_and_whole() {
    for opcode in [CLOSE, PING, PONG] {
        assert_eq!(code_of(&frame(opcode, "")), 1002);
        assert_eq!(code_of(&frame(FIN | opcode, [b'x'; 126])), 1002);
    }
    assert_eq!(decoded(&frame(FIN | PING, [b'x'; 125])), [Got::Ping(vec![b'x'; 125])]);
    assert_eq!(decoded(&frame(FIN | PONG, [b'x'; 125])), [Got::Pong]);
}

#[test]
fn control_frames_know_only_the_short_form_of_their_length() {
    for form in [Form::Medium, Form::Long] {
        for opcode in [CLOSE, PING, PONG] {
            assert_eq!(code_of(&frame_as(FIN | opcode, form, MASK, b"")), 1002, "{form:?}");
        }
    }
}

#[test]
fn every_form_of_a_length_is_read_also_where_a_shorter_one_would_do() {
    for len in [0, 1, 125, 126, 127, 255, 65_535, 65_536, 100_000] {
        let text = "x".repeat(len);
        for form in [Form::Short, Form::Medium, Form::Long] {
            if form_of(len) as u8 <= form as u8 {
                let bytes = frame_as(FIN | TEXT, form, MASK, text.as_bytes());
                assert_eq!(decoded(&bytes), [message(&text)], "{len} as {form:?}");
            }
        }
    }
}

#[test]
fn a_frame_may_be_cut_anywhere() {
    for (form, text) in [(Form::Short, "hé"), (Form::Medium, "wörld"), (Form::Long, "plus 😀")]
    {
        let bytes = [
            frame_as(FIN | TEXT, form, MASK, text.as_bytes()),
            frame(FIN | PING, "beat"),
            frame(FIN | TEXT, "next"),
        ]
        .concat();
        let expected = vec![message(text), Got::Ping(b"beat".to_vec()), message("next")];
        for at in 0..=bytes.len() {
            let (front, back) = bytes.split_at(at);
            let got = decode_with(&mut decoder(), [front, back]);
            assert_eq!(got, (expected.clone(), None), "{form:?} cut at {at}");
        }
        let got = decode_with(&mut decoder(), bytes.chunks(1));
        assert_eq!(got, (expected, None), "{form:?} byte by byte");
    }
}

#[test]
fn the_mask_goes_on_where_a_chunk_ended() {
    let text: String = ('!'..='~').cycle().take(300).collect();
    let bytes = frame(FIN | TEXT, &text);
    for len in 1..40 {
        let got = decode_with(&mut decoder(), bytes.chunks(len));
        assert_eq!(got, (vec![message(&text)], None), "chunks of {len}");
    }
}

#[test]
fn a_bad_start_is_refused_though_the_rest_of_its_header_never_comes() {
    for start in [[0xc1, 0xff], [0x83, 0xff], [0x80, 0xff], [0x09, 0x80], [0x89, 0xfe], [0x81, 127]]
    {
        assert_eq!(code_of(&start), 1002, "{start:02x?}");
        let got = decode_with(&mut decoder(), start.chunks(1));
        assert_eq!(got.1.map(|error| error.close_code()), Some(1002), "{start:02x?} byte by byte");
    }
    assert_eq!(decode_with(&mut decoder(), [&[0x81, 0xff][..]]), (vec![], None));
}

#[test]
fn unmasks_from_every_offset() {
    let plain: Vec<u8> = (0..=255).collect();
    let masked: Vec<u8> = plain.iter().zip(MASK.iter().cycle()).map(|(b, key)| b ^ key).collect();
    for start in 0..20 {
        let mut mask = MASK;
        mask.rotate_left(start % 4);
        for end in start..60 {
            let mut piece = masked[start..end].to_vec();
            unmask(&mut piece, mask);
            assert_eq!(piece, plain[start..end], "{start}..{end}");
        }
    }
}

#[test]
fn control_frames_may_stand_between_fragments() {
    let bytes = [
        frame(TEXT, "one "),
        frame(FIN | PING, "p"),
        frame(0, "two "),
        frame(FIN | PONG, ""),
        frame(0, ""),
        frame(FIN, "three"),
        frame(FIN | TEXT, "four"),
    ]
    .concat();
    let expected =
        vec![Got::Ping(b"p".to_vec()), Got::Pong, message("one two three"), message("four")];
    for len in 1..=bytes.len() {
        let got = decode_with(&mut decoder(), bytes.chunks(len));
        assert_eq!(got, (expected.clone(), None), "chunks of {len}");
    }
}

#[test]
fn a_close_frame_may_stand_between_fragments() {
    let bytes = [frame(TEXT, "half"), frame(FIN | CLOSE, "")].concat();
    assert_eq!(decoded(&bytes), [Got::Close(None)]);
}

#[test]
fn a_character_may_be_cut_between_fragments() {
    let text = "aé€😀z";
    for at in 0..=text.len() {
        let (front, back) = text.as_bytes().split_at(at);
        let bytes = [frame(TEXT, front), frame(FIN, back)].concat();
        assert_eq!(decoded(&bytes), [message(text)], "cut at {at}");
    }
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    for bad in [&b"\xff"[..], b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ab\xe2\x82"] {
        assert_eq!(code_of(&frame(FIN | TEXT, bad)), 1007, "{bad:02x?}");
        let (front, back) = bad.split_at(1);
        assert_eq!(code_of(&[frame(TEXT, front), frame(FIN, back)].concat()), 1007, "{bad:02x?}");
        let bytes = frame(FIN | TEXT, bad);
        let (_, error) = decode_with(&mut decoder(), bytes.chunks(1));
        assert_eq!(error, Some(ProtocolError::InvalidUtf8), "{bad:02x?}");
    }
}

#[test]
fn binary_messages_are_decoded_with_replacement_characters() {
    let bytes = b"a\xff\xe2\x82z";
    assert_eq!(decoded(&frame(FIN | BINARY, bytes)), [message("a\u{fffd}\u{fffd}z")]);
    let fragments = [frame(BINARY, &bytes[..3]), frame(FIN, &bytes[3..])].concat();
    assert_eq!(decoded(&fragments), [message("a\u{fffd}\u{fffd}z")]);
    let halves = [frame(BINARY, b"\xc3"), frame(FIN, b"\xa9")].concat();
    assert_eq!(decoded(&halves), [message("é")]);
}

#[test]
fn a_message_is_as_large_as_allowed_and_no_larger() {
    let limit = 1_000;
    let outcome = |bytes: Vec<u8>| decode_with(&mut Decoder::new(limit, 10), [&bytes[..]]);
    for len in [limit - 1, limit] {
        let text = "x".repeat(len);
        assert_eq!(outcome(frame(FIN | TEXT, &text)), (vec![message(&text)], None));
        let fragments = [frame(TEXT, &text[..400]), frame(FIN, &text[400..])].concat();
        assert_eq!(outcome(fragments), (vec![message(&text)], None));
    }
    let text = "x".repeat(limit + 1);
    assert_eq!(outcome(frame(FIN | TEXT, &text)), (vec![], Some(ProtocolError::TooLarge)));
    let fragments = [frame(TEXT, &text[..400]), frame(FIN, &text[400..])].concat();
    assert_eq!(outcome(fragments), (vec![], Some(ProtocolError::TooLarge)));
}

#[test]
fn a_message_that_will_be_too_large_is_refused_by_its_header() {
    let refusal = |len: u64| {
        let bytes = header(FIN | BINARY, Form::Long, len, Some(MASK));
        decode_with(&mut Decoder::new(1_000, 10), [&bytes[..]]).1
    };
    for len in [1_001, u64::from(u32::MAX), (1 << 53) - 1] {
        assert_eq!(refusal(len), Some(ProtocolError::TooLarge), "{len}");
    }
    for len in [1 << 53, u64::MAX] {
        assert_eq!(refusal(len), Some(ProtocolError::UnsupportedLength), "{len}");
    }
}

#[test]
fn the_limit_can_be_raised() {
    let mut decoder = Decoder::new(3, 10);
    assert_eq!(decode_with(&mut decoder, [&frame(FIN | TEXT, "abc")[..]]).1, None);
    decoder.set_max_message(4);
    assert_eq!(decode_with(&mut decoder, [&frame(FIN | TEXT, "abcd")[..]]).1, None);
    assert_eq!(
        decode_with(&mut decoder, [&frame(FIN | TEXT, "abcde")[..]]).1,
        Some(ProtocolError::TooLarge)
    );
}

#[test]
fn a_message_has_as_many_fragments_as_allowed_and_no_more() {
    let fragments = |count: usize| {
        let mut bytes = frame(TEXT, "");
        (2..count).for_each(|_| bytes.extend(frame(0, "")));
        bytes.extend(frame(FIN, "end"));
        decode_with(&mut Decoder::new(1_000, 5), [&bytes.repeat(2)[..]])
    };
    assert_eq!(fragments(4), (vec![message("end"); 2], None));
    assert_eq!(fragments(5), (vec![message("end"); 2], None));
    assert_eq!(fragments(6), (vec![], Some(ProtocolError::TooManyFragments)));
}

#[test]
fn close_codes_are_valid_as_ws_says() {
    for code in 0..=u16::MAX {
        let valid = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        let bytes = frame(FIN | CLOSE, close_payload(code, b""));
        if valid {
            assert_eq!(decoded(&bytes), [Got::Close(Some((code, String::new())))], "{code}");
        } else {
            assert_eq!(code_of(&bytes), 1002, "{code}");
        }
    }
}

#[test]
fn a_close_frame_has_a_whole_code_and_a_reason_in_utf8() {
    assert_eq!(decoded(&frame(FIN | CLOSE, "")), [Got::Close(None)]);
    assert_eq!(code_of(&frame(FIN | CLOSE, [3])), 1002);
    let reason = "ü".repeat(61);
    let bytes = frame(FIN | CLOSE, close_payload(4_321, reason.as_bytes()));
    assert_eq!(decoded(&bytes), [Got::Close(Some((4_321, reason)))]);
    assert_eq!(code_of(&frame(FIN | CLOSE, close_payload(1_000, b"\xff"))), 1007);
}

#[test]
fn an_idle_decoder_owns_nothing() {
    let mut decoder = decoder();
    let big = "x".repeat(500_000);
    let bytes = [
        frame(TEXT, &big[..200_000]),
        frame(FIN | PING, "ping"),
        frame(FIN, &big[200_000..]),
        frame_as(FIN | TEXT, Form::Long, MASK, b"end"),
    ]
    .concat();
    let (all, error) = decode_with(&mut decoder, bytes.chunks(7));
    assert_eq!((all.len(), error), (3, None));
    let Decoder { part, message, .. } = &decoder;
    assert_eq!([part.capacity(), message.capacity()], [0; 2]);
}

/// Frames of a peer that keeps to the rules, and what they mean.
fn conversation() -> impl Strategy<Value = (Vec<u8>, Vec<Got>)> {
    let control = (select(vec![PING, PONG]), vec(any::<u8>(), 0..=125));
    let fragments = vec((vec(any::<char>(), 0..60), vec(control, 0..2)), 1..5);
    let message = (any::<bool>(), fragments, any::<[u8; 4]>(), any::<bool>());
    vec(message, 0..6).prop_map(|messages| {
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for (is_text, fragments, mask, long) in messages {
            let mut whole = Vec::new();
            let last = fragments.len() - 1;
            for (index, (text, controls)) in fragments.into_iter().enumerate() {
                let mut payload = text.into_iter().collect::<String>().into_bytes();
                if !is_text {
                    payload.push(0xff);
                }
                let opcode = [0, if is_text { TEXT } else { BINARY }][usize::from(index == 0)];
                let fin = [0, FIN][usize::from(index == last)];
                let form = if long { Form::Long } else { form_of(payload.len()) };
                bytes.extend(frame_as(fin | opcode, form, mask, &payload));
                whole.extend(payload);
                if index < last {
                    for (opcode, payload) in controls {
                        bytes.extend(frame_as(FIN | opcode, Form::Short, mask, &payload));
                        expected.push(
                            [Got::Pong, Got::Ping(payload)][usize::from(opcode == PING)].clone(),
                        );
                    }
                }
            }
            expected.push(Got::Message(String::from_utf8_lossy(&whole).into_owned()));
        }
        (bytes, expected)
    })
}

proptest! {
    #[test]
    fn what_is_sent_does_not_depend_on_how_it_is_cut(
        (bytes, expected) in conversation(),
        cuts in vec(1usize..200, 1..20),
    ) {
        let mut rest = &bytes[..];
        let chunks = cuts.iter().cycle().map_while(|len| {
            let (chunk, after) = rest.split_at((*len).min(rest.len()));
            rest = after;
            (!chunk.is_empty()).then_some(chunk)
        });
        prop_assert_eq!(decode_with(&mut decoder(), chunks), (expected, None));
    }
}
