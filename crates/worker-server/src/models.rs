//! The orders in which threads may run, tried by loom: nothing is lost, nobody waits for ever, no
//! budget is exceeded.

use std::sync::Arc;

use bytes::Bytes;
use loom::{sync::Notify, thread};

use crate::{
    backlog::BacklogBounds,
    connection::Connection,
    counters::Budget,
    events::{Event, EventQueue},
    outbox::{Outbox, Rest, SendError},
    stream::WriteHalf,
    sync::{AtomicUsize, Ordering},
};

/// How often a thread is put aside where it could go on. With more than a few it takes very long.
const MOST_PREEMPTIONS: usize = 2;

fn model(run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(MOST_PREEMPTIONS);
    builder.check(run);
}

/// A queue, and what its owner waits for.
fn queue() -> (Arc<EventQueue>, Arc<Notify>) {
    let woken = Arc::new(Notify::new());
    let wake = Arc::clone(&woken);
    (Arc::new(EventQueue::new(move || wake.notify())), woken)
}

fn push(queue: &Arc<EventQueue>, numbers: &'static [u32]) -> thread::JoinHandle<()> {
    let queue = Arc::clone(queue);
    thread::spawn(move || {
        numbers.iter().for_each(|number| queue.push(Event::BridgeReadable(*number)))
    })
}

fn number(event: &Event) -> u32 {
    match event {
        Event::BridgeReadable(number) => *number,
        other => panic!("{other:?}"),
    }
}

/// Takes, each time it is woken, all that there is, until there were so many; loom fails when the
/// owner is not woken for what is there.
fn take_all(queue: &EventQueue, woken: &Notify, count: usize) -> Vec<Event> {
    let mut taken = Vec::new();
    while taken.len() < count {
        woken.wait();
        loop {
            let events = queue.take();
            if events.is_empty() {
                break;
            }
            taken.extend(events);
        }
    }
    taken
}

fn take(queue: &EventQueue, woken: &Notify, count: usize) -> Vec<u32> {
    take_all(queue, woken, count).iter().map(number).collect()
}

#[test]
fn the_owner_is_woken_for_every_event() {
    model(|| {
        let (queue, woken) = queue();
        let producers = [push(&queue, &[1]), push(&queue, &[2])];
        let mut taken = take(&queue, &woken, 2);
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
        for producer in producers {
            producer.join().unwrap();
        }
        assert!(queue.take().is_empty());
    });
}

#[test]
fn the_events_of_one_producer_stay_in_order() {
    model(|| {
        let (queue, woken) = queue();
        let producer = push(&queue, &[1, 2, 3]);
        assert_eq!(take(&queue, &woken, 3), [1, 2, 3]);
        producer.join().unwrap();
    });
}

#[test]
fn a_probe_beside_an_event_loses_neither() {
    model(|| {
        let (queue, woken) = queue();
        let producer = push(&queue, &[1]);
        queue.probe();
        assert_eq!(take(&queue, &woken, 1), [1]);
        producer.join().unwrap();
    });
}

#[test]
fn what_waits_for_its_turn_is_not_forgotten() {
    model(|| {
        let (queue, woken) = queue();
        let outbox = Outbox::new(0, Arc::new(Budget::new(0)));
        let bounds = Arc::new(BacklogBounds::new(usize::MAX, usize::MAX));
        let connection = Arc::new(Connection::new(1, outbox, bounds, Arc::default()));
        let flood = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                // More than a share each.
                for text in ["a".repeat(70_000), "b".repeat(70_000)] {
                    let connection = Arc::clone(&connection);
                    queue.push(Event::Message { connection, text: text.into() });
                }
            })
        };
        let taken = take_all(&queue, &woken, 2);
        let texts = taken.iter().filter_map(|event| match event {
            Event::Message { text, .. } => text.to_string().chars().next(),
            _ => None,
        });
        assert_eq!(texts.collect::<Vec<_>>(), ['a', 'b']);
        flood.join().unwrap();
    });
}

#[test]
fn outboxes_never_hold_more_than_their_budget() {
    model(|| {
        let budget = Arc::new(Budget::new(5));
        let sent = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (budget, sent) = (Arc::clone(&budget), Arc::clone(&sent));
                thread::spawn(move || {
                    let outbox = Outbox::new(100, budget);
                    for frame in [&b"abc"[..], b"de"] {
                        match outbox.push(Bytes::from_static(frame)) {
                            Ok(()) => {
                                let held = sent.fetch_add(frame.len(), Ordering::AcqRel);
                                assert!(held + frame.len() <= 5);
                            }
                            Err(refusal) => assert_eq!(refusal, SendError::Full),
                        }
                    }
                    // Given back only after nobody counts on it.
                    sent.fetch_sub(outbox.bytes(), Ordering::AcqRel);
                    drop(outbox);
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(budget.used(), 0);
    });
}

#[test]
fn nothing_is_taken_behind_the_close_frame() {
    model(|| {
        let outbox = Arc::new(Outbox::new(100, Arc::new(Budget::new(100))));
        let sender = {
            let outbox = Arc::clone(&outbox);
            thread::spawn(move || outbox.push(Bytes::from_static(b"data")))
        };
        let closer = {
            let outbox = Arc::clone(&outbox);
            thread::spawn(move || outbox.close(Bytes::from_static(b"close")))
        };
        let first = outbox.close(Bytes::from_static(b"close"));
        let (sent, second) = (sender.join().unwrap(), closer.join().unwrap());
        assert!(first != second, "closed once");
        let held = outbox.bytes();
        assert_eq!(held, if sent.is_ok() { 9 } else { 5 });
    });
}

#[test]
fn whoever_writes_nothing_is_left_lying_and_nothing_is_torn() {
    model(|| {
        let (half, received) = WriteHalf::to_memory();
        let outbox = Arc::new(Outbox::new(100, Arc::new(Budget::new(100))));
        outbox.open(half);
        let woken = Arc::new(Notify::new());
        let owner = {
            let (outbox, woken) = (Arc::clone(&outbox), Arc::clone(&woken));
            thread::spawn(move || {
                let is_left = outbox.push_and_write(Bytes::from_static(b"owner's"));
                if is_left == Ok(true) {
                    woken.notify();
                }
                is_left
            })
        };
        outbox.push(Bytes::from_static(b"task's")).unwrap();
        // Loom fails if it waits in vain.
        while outbox.write().unwrap().rest == Rest::IsWritten {
            woken.wait();
        }
        if owner.join().unwrap() == Ok(true) {
            assert_eq!(outbox.write().unwrap().rest, Rest::Nothing);
        }
        assert_eq!(outbox.bytes(), 0);
        let received = received.lock().unwrap();
        assert!(matches!(&received[..], b"owner'stask's" | b"task'sowner's"), "{received:?}");
    });
}
