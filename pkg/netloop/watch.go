package netloop

import "holdfast/pkg/stats"

// Watcher is what the Handler of a loop may have besides: it is told of what the Handler alone cannot see. A call must return
// soon, and must not end a connection.
type Watcher interface {
	// Closing tells why a connection ends. Its Gone follows; until Closing returns the kernel may still know its addresses.
	Closing(c uint32, why stats.CloseReason)
	// LeftOut tells that SendShared has left the connection out, because its queue is full.
	LeftOut(c uint32)
	// Overload tells of clients that are not accepted.
	Overload(what string)
}

func (l *Loop) overload(what string) {
	if l.watcher != nil {
		l.watcher.Overload(what)
	}
}

// Queued returns the bytes that wait in the connection's queue, each piece with a little more.
func (l *Loop) Queued(c uint32) int {
	id := l.slots.At(c).queue
	if id == 0 {
		return 0
	}
	return l.queues.all.At(id).cost
}

// Waiting returns the number of tasks in the mailbox. It may be called from any goroutine.
func (l *Loop) Waiting() int {
	l.mailbox.mu.Lock()
	defer l.mailbox.mu.Unlock()
	return len(l.mailbox.tasks)
}
