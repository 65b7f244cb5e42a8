//! Arguments and results of a raw N-API call.
#![allow(unsafe_code, reason = "raw N-API calls; what each relies on stands beside it")]

use std::{cell::Cell, ffi::c_void, ptr, slice, sync::Arc};

use napi::{bindgen_prelude::Float64Array, sys};
use worker_server::{
    Fleet, HeartbeatChunk, Text, TextUnits,
    core::pool::{Slot, Status},
};

use super::Value;
use crate::fleets::{View, status_of};

/// No raw function takes more arguments.
const MAX_ARGUMENTS: usize = 6;
/// Strings up to this length are read in one call.
const STACK_BYTES: usize = 512;
/// The longest form of a character in UTF-8, which a full buffer may have had no room for.
const MAX_CHARACTER: usize = 4;

thread_local! {
    static EXPECTS_ASCII: Cell<bool> = const { Cell::new(true) };
}

/// One call from JavaScript. Lives no longer than the call.
pub(super) struct Call {
    env: sys::napi_env,
    arguments: [Value; MAX_ARGUMENTS],
}

impl Call {
    pub(super) fn new(env: sys::napi_env, info: sys::napi_callback_info) -> Self {
        let mut arguments = [ptr::null_mut(); MAX_ARGUMENTS];
        let mut count = MAX_ARGUMENTS;
        // SAFETY: both pointers come from Node for this call; missing arguments are filled with
        // `undefined`, and on failure all stay null, which every reader below refuses.
        unsafe {
            sys::napi_get_cb_info(
                env,
                info,
                &mut count,
                arguments.as_mut_ptr(),
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        Self { env, arguments }
    }

    fn argument(&self, index: usize) -> Option<Value> {
        self.arguments.get(index).copied().filter(|value| !value.is_null())
    }

    pub(super) fn u32(&self, index: usize) -> Option<u32> {
        let value = self.argument(index)?;
        let mut result = 0;
        // SAFETY: a live value of this call; anything but a number is refused by the status.
        let status = unsafe { sys::napi_get_value_uint32(self.env, value, &mut result) };
        (status == sys::Status::napi_ok).then_some(result)
    }

    pub(super) fn f64(&self, index: usize) -> Option<f64> {
        let value = self.argument(index)?;
        let mut result = 0.0;
        // SAFETY: as above.
        let status = unsafe { sys::napi_get_value_double(self.env, value, &mut result) };
        (status == sys::Status::napi_ok).then_some(result)
    }

    pub(super) fn bool(&self, index: usize) -> Option<bool> {
        let value = self.argument(index)?;
        let mut result = false;
        // SAFETY: as above.
        let status = unsafe { sys::napi_get_value_bool(self.env, value, &mut result) };
        (status == sys::Status::napi_ok).then_some(result)
    }

    /// A string; lone surrogates become replacement characters.
    pub(super) fn string(&self, index: usize) -> Option<String> {
        String::from_utf8(self.utf8_behind(index, 0)?).ok()
    }

    /// Room for a frame's header, followed by a string in UTF-8.
    pub(super) fn framed_text(&self, index: usize) -> Option<Vec<u8>> {
        self.utf8_behind(index, Fleet::FRAME_HEADER_ROOM)
    }

    /// Some room, followed by a string in UTF-8; lone surrogates become replacement characters.
    fn utf8_behind(&self, index: usize, room: usize) -> Option<Vec<u8>> {
        let value = self.argument(index)?;
        if let Some(short) = self.short_utf8(value, room)? {
            return Some(short);
        }
        let len = self.utf16_len(value)?;
        // A program sends text of one language, so the last one tells what the next one is. The engine
        // writes ASCII as UTF-8 fast, and all else slowly.
        if EXPECTS_ASCII.get()
            && let Some(ascii) = self.ascii_of(value, len, room)
        {
            return Some(ascii);
        }
        let bytes = self.transcoded(value, len, room)?;
        EXPECTS_ASCII.set(bytes.len() == room + len);
        Some(bytes)
    }

    /// The bytes of a string that is plain ASCII.
    pub(super) fn ascii(&self, index: usize) -> Option<Vec<u8>> {
        let value = self.argument(index)?;
        self.ascii_of(value, self.utf16_len(value)?, 0)
    }

    /// Some room, followed by a string of `len` characters if it is plain ASCII.
    fn ascii_of(&self, value: Value, len: usize, room: usize) -> Option<Vec<u8>> {
        // Node ends the string with a NUL, which needs a place of its own.
        let mut bytes = vec![0; room + len + 1];
        let target = bytes.get_mut(room..)?;
        let written = self.copy_utf8(value, target.as_mut_ptr(), target.len())?;
        bytes.truncate(room + written);
        // A character that is not ASCII is more than one byte, so then not all of them had room.
        (written == len && bytes.is_ascii()).then_some(bytes)
    }

    /// Some room, followed by a string of `len` units of UTF-16 in UTF-8; lone surrogates become
    /// replacement characters.
    fn transcoded(&self, value: Value, len: usize, room: usize) -> Option<Vec<u8>> {
        let mut units = vec![0_u16; len + 1];
        let mut written = 0;
        // SAFETY: the buffer has that many places; anything but a string is refused.
        let status = unsafe {
            sys::napi_get_value_string_utf16(
                self.env,
                value,
                units.as_mut_ptr(),
                units.len(),
                &mut written,
            )
        };
        if status != sys::Status::napi_ok {
            return None;
        }
        units.truncate(written);
        Some(Fleet::text_buffer(&units, room))
    }

    /// The length of a string in units of UTF-16.
    fn utf16_len(&self, value: Value) -> Option<usize> {
        let mut len = 0;
        // SAFETY: without a buffer only the length is told; anything but a string is refused.
        let status = unsafe {
            sys::napi_get_value_string_utf16(self.env, value, ptr::null_mut(), 0, &mut len)
        };
        (status == sys::Status::napi_ok).then_some(len)
    }

    /// Some room, followed by a string in UTF-8 if it is short. Outer `None`: it is no string.
    fn short_utf8(&self, value: Value, room: usize) -> Option<Option<Vec<u8>>> {
        let mut stack = [0u8; STACK_BYTES];
        let written = self.copy_utf8(value, stack.as_mut_ptr(), STACK_BYTES)?;
        let is_short = written + MAX_CHARACTER < STACK_BYTES;
        Some(is_short.then(|| {
            let mut bytes = Vec::with_capacity(room + written);
            bytes.resize(room, 0);
            bytes.extend(stack.iter().take(written));
            bytes
        }))
    }

    /// Bytes written; with a null buffer: the length of the string.
    fn copy_utf8(&self, value: Value, buffer: *mut u8, capacity: usize) -> Option<usize> {
        let mut written = 0;
        // SAFETY: `buffer` is null or has `capacity` bytes; anything but a string is refused.
        let status = unsafe {
            sys::napi_get_value_string_utf8(self.env, value, buffer.cast(), capacity, &mut written)
        };
        (status == sys::Status::napi_ok).then_some(written)
    }

    /// An array of strings; at most `u32::MAX` of them.
    pub(super) fn strings(&self, index: usize) -> Option<Vec<String>> {
        let array = self.argument(index)?;
        let mut len = 0;
        // SAFETY: a live value of this call; anything but an array is refused.
        let status = unsafe { sys::napi_get_array_length(self.env, array, &mut len) };
        if status != sys::Status::napi_ok {
            return None;
        }
        (0..len).map(|index| self.element(array, index)).collect()
    }

    fn element(&self, array: Value, index: u32) -> Option<String> {
        let mut value = ptr::null_mut();
        // SAFETY: a live array of this call. Its elements are plain, so that no JavaScript runs.
        let status = unsafe { sys::napi_get_element(self.env, array, index, &mut value) };
        if status != sys::Status::napi_ok || value.is_null() {
            return None;
        }
        let call = Self { env: self.env, arguments: [value; MAX_ARGUMENTS] };
        call.string(0)
    }

    /// Runs `body` on the bytes of a Uint8Array.
    pub(super) fn with_bytes<T>(
        &self,
        index: usize,
        body: impl FnOnce(&mut [u8]) -> T,
    ) -> Option<T> {
        let (kind, len, data) = self.typed_array(index)?;
        if kind != sys::TypedarrayType::uint8_array {
            return None;
        }
        if len == 0 || data.is_null() {
            return Some(body(&mut []));
        }
        // SAFETY: Node gave the array's memory; no JavaScript runs before `body` returns, so
        // nothing else reads or writes it.
        Some(body(unsafe { slice::from_raw_parts_mut(data.cast(), len) }))
    }

    /// Runs `body` on the doubles of a Float64Array.
    pub(super) fn with_f64s<T>(
        &self,
        index: usize,
        body: impl FnOnce(&mut [f64]) -> T,
    ) -> Option<T> {
        let (kind, len, data) = self.typed_array(index)?;
        if kind != sys::TypedarrayType::float64_array || len == 0 || data.is_null() {
            return None;
        }
        // SAFETY: Node gave the array's memory, which is aligned for its kind; no JavaScript runs
        // before `body` returns, so nothing else reads or writes it.
        Some(body(unsafe { slice::from_raw_parts_mut(data.cast(), len) }))
    }

    fn typed_array(&self, index: usize) -> Option<(sys::napi_typedarray_type, usize, *mut c_void)> {
        let value = self.argument(index)?;
        let (mut kind, mut len, mut data) = (0, 0, ptr::null_mut());
        // SAFETY: a live value of this call; anything but a typed array is refused.
        let status = unsafe {
            sys::napi_get_typedarray_info(
                self.env,
                value,
                &mut kind,
                &mut len,
                &mut data,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        (status == sys::Status::napi_ok).then_some((kind, len, data))
    }

    pub(super) fn number(&self, value: f64) -> Option<Value> {
        let mut result = ptr::null_mut();
        // SAFETY: plain value creation inside the call.
        let status = unsafe { sys::napi_create_double(self.env, value, &mut result) };
        (status == sys::Status::napi_ok).then_some(result)
    }

    /// A slot as a number; -1: none.
    pub(super) fn slot_or_none(&self, slot: Option<Slot>) -> Option<Value> {
        self.number(slot.map_or(-1.0, |slot| slot.index().into()))
    }

    /// The memory of a chunk as an ArrayBuffer, which keeps it alive. `None` where the engine does
    /// not let memory be shared with it.
    pub(super) fn shared_heartbeats(&self, chunk: Arc<HeartbeatChunk>) -> Option<Value> {
        unsafe extern "C" fn let_go(_: sys::napi_env, _: *mut c_void, hint: *mut c_void) {
            // SAFETY: the reference given away below; Node calls this once.
            drop(unsafe { Arc::from_raw(hint.cast_const().cast::<HeartbeatChunk>()) });
        }
        let memory = chunk.as_ptr().cast_mut().cast();
        let hint = Arc::into_raw(chunk).cast_mut().cast();
        let mut result = ptr::null_mut();
        // SAFETY: the memory lives as long as the reference behind `hint`. It consists of atomics,
        // so that it may change while JavaScript, which only reads it, looks.
        let status = unsafe {
            sys::napi_create_external_arraybuffer(
                self.env,
                memory,
                HeartbeatChunk::LEN * size_of::<f64>(),
                Some(let_go),
                hint,
                &mut result,
            )
        };
        if status == sys::Status::napi_ok {
            return Some(result);
        }
        // SAFETY: refused, so the reference is still ours.
        unsafe { let_go(self.env, memory, hint) };
        None
    }

    pub(super) fn boolean(&self, value: bool) -> Option<Value> {
        let mut result = ptr::null_mut();
        // SAFETY: as above.
        let status = unsafe { sys::napi_get_boolean(self.env, value, &mut result) };
        (status == sys::Status::napi_ok).then_some(result)
    }

    /// A string.
    pub(super) fn utf8(&self, text: &str) -> Option<Value> {
        let (data, len) = (text.as_ptr().cast(), text.len() as isize);
        let mut result = ptr::null_mut();
        // SAFETY: the text is copied. ASCII is a part of Latin-1, which the engine copies faster.
        let status = unsafe {
            if text.is_ascii() {
                sys::napi_create_string_latin1(self.env, data, len, &mut result)
            } else {
                sys::napi_create_string_utf8(self.env, data, len, &mut result)
            }
        };
        (status == sys::Status::napi_ok).then_some(result)
    }

    /// A Buffer with a copy of these bytes.
    pub(super) fn buffer(&self, bytes: &[u8]) -> Option<Value> {
        let mut result = ptr::null_mut();
        // SAFETY: the bytes are copied.
        let status = unsafe {
            sys::napi_create_buffer_copy(
                self.env,
                bytes.len(),
                bytes.as_ptr().cast(),
                ptr::null_mut(),
                &mut result,
            )
        };
        (status == sys::Status::napi_ok).then_some(result)
    }

    /// A Buffer that takes these bytes over.
    pub(super) fn owned_buffer(&self, bytes: Vec<u8>) -> Option<Value> {
        unsafe extern "C" fn let_go(_: sys::napi_env, _: *mut c_void, hint: *mut c_void) {
            // SAFETY: the vector given away below; Node calls this once.
            drop(unsafe { Box::from_raw(hint.cast::<Vec<u8>>()) });
        }
        // An empty vector has no memory that could be shown.
        if bytes.is_empty() {
            return self.buffer(&bytes);
        }
        let mut bytes = Box::new(bytes);
        let (data, len) = (bytes.as_mut_ptr().cast(), bytes.len());
        let hint: *mut c_void = Box::into_raw(bytes).cast();
        let mut result = ptr::null_mut();
        // SAFETY: the memory lives until `let_go`, and nothing else has a hold of it.
        let status = unsafe {
            sys::napi_create_external_buffer(self.env, len, data, Some(let_go), hint, &mut result)
        };
        if status == sys::Status::napi_ok {
            return Some(result);
        }
        // SAFETY: refused, so the vector is still ours.
        let bytes = unsafe { Box::from_raw(hint.cast::<Vec<u8>>()) };
        self.buffer(&bytes)
    }

    /// An array of these values; a missing one is undefined.
    pub(super) fn array_of(&self, values: impl Iterator<Item = Option<Value>>) -> Option<Value> {
        let mut array = ptr::null_mut();
        // SAFETY: plain value creation inside the call.
        let status = unsafe { sys::napi_create_array(self.env, &mut array) };
        if status != sys::Status::napi_ok {
            return None;
        }
        for (index, value) in (0..).zip(values) {
            let Some(value) = value else { continue };
            // SAFETY: both are live values of this call. A failure leaves the place empty.
            unsafe { sys::napi_set_element(self.env, array, index, value) };
        }
        Some(array)
    }

    pub(super) fn text(&self, text: &Text) -> Option<Value> {
        let mut result = ptr::null_mut();
        // SAFETY: the units are copied; both forms are what the engine keeps strings in.
        let status = unsafe {
            match text.units() {
                TextUnits::Latin1(units) => sys::napi_create_string_latin1(
                    self.env,
                    units.as_ptr().cast(),
                    units.len() as isize,
                    &mut result,
                ),
                TextUnits::Utf16(units) => sys::napi_create_string_utf16(
                    self.env,
                    units.as_ptr(),
                    units.len() as isize,
                    &mut result,
                ),
            }
        };
        (status == sys::Status::napi_ok).then_some(result)
    }
}

impl View {
    /// The memory of an array with at least [`View::LEN`] places.
    pub(crate) fn of(array: &mut Float64Array) -> Option<Self> {
        // SAFETY: called inside a native call, during which no JavaScript touches the array.
        let memory = unsafe { array.as_mut() };
        (memory.len() >= Self::LEN).then_some(Self(memory.as_mut_ptr()))
    }

    pub(crate) fn write(self, values: [f64; Self::RESULTS]) {
        // SAFETY: `of` checked the length; the server keeps the array alive, the facade never
        // detaches it; this runs on its thread, so nobody reads meanwhile.
        unsafe { ptr::copy_nonoverlapping(values.as_ptr(), self.0, Self::RESULTS) };
    }

    /// Hands out the changes that JavaScript has listed (slot, status, requests in flight), and
    /// empties the list.
    pub(crate) fn take_changes(self, mut each: impl FnMut(Slot, Status, f64)) {
        let Some((count, changes)) =
            self.memory().get_mut(Self::RESULTS..).and_then(<[f64]>::split_first_mut)
        else {
            return;
        };
        let listed = std::mem::take(count) as usize;
        let (changes, _) = changes.as_chunks::<3>();
        for [slot, status, active] in changes.iter().take(listed) {
            each(Slot::new(*slot as u32), status_of(*status), *active);
        }
    }

    /// Writes down the slot and the number of messages of each run of a batch.
    pub(crate) fn write_runs(self, runs: impl Iterator<Item = (f64, u32)>) {
        let places = self.memory().get_mut(Self::RUNS..).unwrap_or_default();
        let (places, _) = places.as_chunks_mut::<2>();
        for (place, (slot, count)) in places.iter_mut().zip(runs) {
            *place = [slot, count.into()];
        }
    }

    fn memory<'a>(self) -> &'a mut [f64] {
        // SAFETY: as in `write`; the slice does not outlive the method that asks for it.
        unsafe { slice::from_raw_parts_mut(self.0, Self::LEN) }
    }
}
