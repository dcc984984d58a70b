//! What counts as a move of an exchange ([`crate::Limits::stall_bytes`]): a peer that is slow gets on,
//! one that only pretends to does not.

use super::exchange::Exchange;

/// What has moved since the exchange was last seen to get on.
#[derive(Debug, Default)]
pub(super) struct Pace {
    up: usize,
    down: usize,
    /// Bytes that the kernels of both peers had acknowledged when that was last looked at.
    acknowledged: u64,
}

impl Exchange<'_> {
    /// The endpoint took bytes of the request. A body that is still due to come has to come on, unless
    /// it is made of messages, which come when there are any.
    pub(super) fn moved_up(&mut self, count: usize) {
        self.pace.up += count;
        let may_pause = self.ask.is_grpc || self.down.answered;
        let took_all = self.up.passing == 0 && (self.up.body.is_done() || may_pause);
        if took_all || self.pace.up >= self.client.worker.config.limits.stall_bytes {
            self.progress();
        }
    }

    /// The client took bytes of the answer.
    pub(super) fn moved_down(&mut self, count: usize) {
        self.pace.down += count;
        if self.down.passing == 0 || self.pace.down >= self.client.worker.config.limits.stall_bytes {
            self.progress();
        }
    }

    /// Something moved: the exchange does not stand still.
    pub(super) fn progress(&mut self) {
        if self.watches {
            (self.pace.up, self.pace.down) = (0, 0);
            let timeout = self.client.worker.config.limits.stall_timeout;
            self.client.live().arm(self.client.worker.clock.coarse() + timeout);
        }
    }

    /// From now on it is watched.
    pub(super) fn watch(&mut self) {
        self.watches = true;
        self.pace.acknowledged = self.acknowledged();
        self.progress();
    }

    /// Whether a peer that leaves bytes waiting has taken enough of what is in the kernel. There is
    /// room for the next write only when a third of that is gone: for a slow reader a long time.
    pub(super) fn is_being_read(&mut self) -> bool {
        let waits = self.down.passing > 0 || self.up.passing > 0 || !self.client.out.is_empty();
        let now = self.acknowledged();
        let before = std::mem::replace(&mut self.pace.acknowledged, now);
        waits && now.saturating_sub(before) >= self.client.worker.config.limits.stall_bytes as u64
    }

    /// Whether it is the client who is to send more.
    pub(super) fn awaits_client(&self) -> bool {
        let up = &self.up;
        let has_sent_all = up.passing == 0 && up.first_sent == up.first.len() && !up.broken;
        has_sent_all && !up.body.is_done() && !self.down.answered && !self.ask.is_grpc
    }

    fn acknowledged(&mut self) -> u64 {
        self.client.stream().acknowledged() + self.upstream.stream.acknowledged()
    }
}
