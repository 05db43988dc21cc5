//! Events in the wire format of protocol buffers.

/// An event: `Event` of tensorflow/core/util/event.proto.
pub(super) struct Event<'a> {
    /// Seconds since 1970.
    pub(super) time: f64,
    pub(super) step: u64,
    pub(super) what: &'a What<'a>,
}

/// What an event says.
pub(super) enum What<'a> {
    /// The format of the file.
    Version,
    /// What was said before of this step and later ones is void.
    Start,
    /// A number under a tag.
    Scalar(&'a str, f32),
    /// A picture under a tag.
    Image { tag: &'a str, height: u32, width: u32, channels: u32, png: &'a [u8] },
}

/// Fields, one after the other.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// A number of field `field`.
    fn number(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    fn double(mut self, field: u64, value: f64) -> Self {
        self.varint(field << 3 | 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn float(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Text, bytes, or a message.
    fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }
}

impl Event<'_> {
    pub(super) fn encoded(&self) -> Vec<u8> {
        let event = Message::default().double(1, self.time);
        let event = if self.step > 0 { event.number(2, self.step) } else { event };
        let event = match self.what {
            What::Version => event.bytes(3, b"brain.Event:2"),
            What::Start => event.bytes(7, &Message::default().number(1, 1).0),
            What::Scalar(tag, value) => event.bytes(5, &summary(tag, |v| v.float(2, *value))),
            What::Image { tag, height, width, channels, png } => {
                let image = Message::default()
                    .number(1, (*height).into())
                    .number(2, (*width).into())
                    .number(3, (*channels).into())
                    .bytes(4, png);
                event.bytes(5, &summary(tag, |v| v.bytes(4, &image.0)))
            }
        };
        event.0
    }
}

/// A `Summary` of one value.
fn summary(tag: &str, with: impl FnOnce(Message) -> Message) -> Vec<u8> {
    let value = with(Message::default().bytes(1, tag.as_bytes()));
    Message::default().bytes(1, &value.0).0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `tensorboard.compat.proto.event_pb2` serialises the same events.
    #[test]
    fn bytes_are_those_of_the_reference() {
        let of = |step, what: What<'_>| Event { time: 1.5, step, what: &what }.encoded();
        let time = b"\x09\x00\x00\x00\x00\x00\x00\xf8\x3f";
        let expected = [&time[..], b"\x10\xac\x02\x2a\x0d\x0a\x0b\x0a\x04loss\x15\x00\x00\x00\x3f"];
        assert_eq!(of(300, What::Scalar("loss", 0.5)), expected.concat());
        let image = What::Image { tag: "s", height: 2, width: 200, channels: 1, png: b"png" };
        let expected = [
            &time[..],
            b"\x10\x01\x2a\x13\x0a\x11\x0a\x01s\x22\x0c\x08\x02\x10\xc8\x01\x18\x01\x22\x03png",
        ];
        assert_eq!(of(1, image), expected.concat());
    }
}
