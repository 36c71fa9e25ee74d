//! A body made of shared pieces: a page whose messages lie in memory already is sent from there, not copied as a whole.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::{Body, HttpBody};
use bytes::{BufMut as _, Bytes, BytesMut};
use http_body::{Frame, SizeHint};

/// Smaller pieces, in bytes, are put together up to this before they are sent.
const CHUNK: usize = 16 * 1024;

/// Bytes in shared pieces.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pieces {
    pieces: VecDeque<Bytes>,
    len: usize,
}

impl Pieces {
    /// The items as a JSON array.
    pub(crate) fn array(items: impl IntoIterator<Item = Bytes>) -> Self {
        let mut array = Self::default();
        array.push(Bytes::from_static(b"["));
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                array.push(Bytes::from_static(b","));
            }
            array.push(item);
        }
        array.push(Bytes::from_static(b"]"));
        array
    }

    /// With something before and behind it.
    pub(crate) fn between(mut self, before: &'static [u8], behind: Vec<u8>) -> Self {
        self.len += before.len();
        self.pieces.push_front(Bytes::from_static(before));
        self.push(behind.into());
        self
    }

    /// Bytes of all of it.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn push(&mut self, piece: Bytes) {
        self.len += piece.len();
        self.pieces.push_back(piece);
    }

    /// What is sent next: a large piece as it is, small ones in a copy.
    fn next(&mut self) -> Option<Bytes> {
        let is_large = |piece: &Bytes| piece.len() > CHUNK / 2;
        let first = self.pieces.pop_front()?;
        self.len -= first.len();
        if is_large(&first) || self.pieces.is_empty() {
            return Some(first);
        }
        let mut chunk = BytesMut::with_capacity((first.len() + self.len).min(CHUNK));
        chunk.put(first);
        while let Some(piece) = self.pieces.front()
            && !is_large(piece)
            && chunk.len() + piece.len() <= CHUNK
        {
            self.len -= piece.len();
            chunk.extend_from_slice(piece);
            self.pieces.pop_front();
        }
        Some(chunk.freeze())
    }
}

impl From<Pieces> for Body {
    fn from(mut pieces: Pieces) -> Self {
        // What is small is written at once.
        if pieces.len <= CHUNK
            && let Some(all) = pieces.next()
        {
            return if pieces.len == 0 { Self::from(all) } else { Self::new(Behind(Some(all), pieces)) };
        }
        Self::new(Behind(None, pieces))
    }
}

/// A piece, and those behind it.
struct Behind(Option<Bytes>, Pieces);

impl HttpBody for Behind {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.0.take().or_else(|| self.1.next());
        Poll::Ready(next.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none() && self.1.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.0.as_ref().map_or(0, Bytes::len) + self.1.len) as u64)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, HttpBody as _, to_bytes};
    use bytes::Bytes;

    use super::{CHUNK, Pieces};

    async fn sent(pieces: Pieces) -> Vec<u8> {
        let (length, body) = (pieces.len(), Body::from(pieces));
        assert_eq!(body.size_hint().exact(), Some(length as u64));
        to_bytes(body, usize::MAX).await.unwrap().to_vec()
    }

    #[tokio::test]
    async fn an_array_is_the_same_in_one_piece_and_in_many() {
        assert_eq!(sent(Pieces::array([])).await, b"[]");
        for size in [1, 10, CHUNK / 2, CHUNK, 5 * CHUNK] {
            let items: Vec<Bytes> = (0..40).map(|_| Bytes::from(vec![b'7'; size])).collect();
            let joined = format!("[{}]", vec!["7".repeat(size); 40].join(","));
            assert_eq!(sent(Pieces::array(items)).await, joined.as_bytes(), "{size}");
        }
        let around = Pieces::array([Bytes::from_static(b"1")]).between(b"{\"a\":", b",\"b\":2}".to_vec());
        assert_eq!(sent(around).await, br#"{"a":[1],"b":2}"#);
    }

    #[test]
    fn a_large_piece_is_shared_and_small_ones_are_put_together() {
        let large = Bytes::from(vec![b'x'; 2 * CHUNK]);
        let small = (0..100).map(|_| Bytes::from_static(b"0123456789"));
        let mut pieces = Pieces::array(std::iter::once(large.clone()).chain(small));
        assert_eq!(pieces.next().unwrap(), "[");
        assert_eq!(pieces.next().unwrap().as_ptr(), large.as_ptr());
        assert_eq!(pieces.next().unwrap().len(), 1_101);
        assert_eq!((pieces.next(), pieces.len()), (None, 0));
    }
}
