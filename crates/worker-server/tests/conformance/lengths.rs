//! RFC 6455 section 5.2: the three forms of a length, at their edges. A longer form than needed is
//! taken for data, as `ws` does, and never for control frames.

use crate::{
    exchange::{MAX_MESSAGE, delivered, frames, long_form, raw, refused, text},
    support::{FIN, frame, opcode::*},
};

/// So many bytes that can be told from others.
fn filler(len: usize) -> String {
    ('!'..='~').cycle().take(len).collect()
}

macro_rules! lengths {
    ($($name:ident: $len:expr;)+) => {
        delivered! {$(
            $name: text(&filler($len)) => [filler($len).as_str()];
        )+}
    };
}

lengths! {
    length_0: 0;
    length_1: 1;
    length_124: 124;
    length_125: 125;
    length_126: 126;
    length_127: 127;
    length_128: 128;
    length_255: 255;
    length_256: 256;
    length_65534: 65_534;
    length_65535: 65_535;
    length_65536: 65_536;
    length_65537: 65_537;
    length_at_the_limit: MAX_MESSAGE;
}

delivered! {
    binary_of_126: frame(FIN | BINARY, filler(126)) => [filler(126).as_str()];
    binary_of_65536: frame(FIN | BINARY, filler(65_536)) => [filler(65_536).as_str()];
    none_in_16_bits: long_form(FIN | TEXT, 126, b"") => [""];
    none_in_64_bits: long_form(FIN | TEXT, 127, b"") => [""];
    a_few_in_16_bits: long_form(FIN | TEXT, 126, b"few") => ["few"];
    a_few_in_64_bits: long_form(FIN | TEXT, 127, b"few") => ["few"];
    of_125_in_16_bits: long_form(FIN | TEXT, 126, filler(125).as_bytes()) => [filler(125).as_str()];
    of_126_in_64_bits: long_form(FIN | TEXT, 127, filler(126).as_bytes()) => [filler(126).as_str()];
    of_65535_in_64_bits: long_form(FIN | TEXT, 127, filler(65_535).as_bytes())
        => [filler(65_535).as_str()];
    every_form_behind_each_other: frames([
        text("a"),
        long_form(FIN | TEXT, 126, b"b"),
        long_form(FIN | TEXT, 127, b"c"),
        text(&filler(126)),
        text(&filler(65_536)),
        text("d"),
    ]) => ["a", "b", "c", filler(126).as_str(), filler(65_536).as_str(), "d"];
}

refused! {
    one_beyond_the_limit: text(&filler(MAX_MESSAGE + 1)) => 1009;
    one_beyond_the_limit_as_binary: frame(FIN | BINARY, filler(MAX_MESSAGE + 1)) => 1009;
    beyond_the_limit_by_its_header_alone: raw(FIN | TEXT, 0xff, &[0, 0, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0]) => 1009;
    of_32_bits: raw(FIN | TEXT, 0xff, &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]) => 1009;
    beyond_53_bits: raw(FIN | TEXT, 0xff, &[0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) => 1009;
    of_63_bits: raw(FIN | TEXT, 0xff, &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]) => 1009;
    of_64_bits: raw(FIN | TEXT, 0xff, &[0xff; 12]) => 1009;
    the_sign_bit_alone: raw(FIN | TEXT, 0xff, &[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) => 1009;
    fragments_together_beyond_the_limit: frames([
        frame(TEXT, filler(MAX_MESSAGE)),
        frame(FIN, "x"),
    ]) => 1009;
    fragments_of_which_none_is_beyond_the_limit: frames([
        frame(TEXT, filler(MAX_MESSAGE / 2)),
        frame(CONTINUATION, filler(MAX_MESSAGE / 2)),
        frame(FIN, "x"),
    ]) => 1009;
}
