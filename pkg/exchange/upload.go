package exchange

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"sync"
	"time"
)

const (
	// maxUp bounds the bytes of a request's body that wait for the backend.
	maxUp = 64 << 10
	// MaxKept is how many bytes of a request's body are kept so that it can be sent again, unless Keeps says otherwise: of a longer one
	// none are. It is also GRIP's bound for the body of a request that is held.
	MaxKept = 100_000
)

var (
	// ErrNotKept says that the body cannot be read from its start again, because it is longer than what is kept.
	ErrNotKept = errors.New("exchange: the request's body is too long to be read again")
	errClosed  = errors.New("exchange: the reading of the body has ended")
	errDone    = errors.New("exchange: the answer is complete")
)

// upload is a request's body on its way up.
type upload struct {
	mu     sync.Mutex
	more   sync.Cond // there is something to read, or it has ended, or a reader is to stop
	waits  []byte    // pushed and not read yet
	kept   []byte    // what has been read, while that is at most most
	most   int       // bytes of kept; 0 for MaxKept
	read   int64     // bytes
	err    error     // after what waits: io.EOF, or how the body broke off
	wanted bool      // the loop waits for room
	done   bool      // what comes is thrown away
}

func (u *upload) push(b []byte) (n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.done {
		return len(b)
	}
	n = min(len(b), maxUp-len(u.waits))
	u.waits = append(u.waits, b[:n]...)
	u.wanted = u.wanted || n < len(b)
	u.more.Broadcast()
	return n
}

// room returns how many bytes push would take. When that is none, the reader tells once there is some.
func (u *upload) room() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.done {
		return maxUp
	}
	n := maxUp - len(u.waits)
	u.wanted = n == 0
	return n
}

func (u *upload) end(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err == nil {
		u.err = err
	}
	u.more.Broadcast()
}

// discard ends the reading for good. It reports whether the loop waits for room.
func (u *upload) discard() (wanted bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	wanted = u.wanted
	u.done, u.wanted = true, false
	u.waits, u.kept = nil, nil
	u.more.Broadcast()
	return wanted
}

// Keeps sets how many bytes of the request's body are kept, in place of MaxKept, before anything of it is read.
func (x *Exchange) Keeps(bytes int) {
	x.body.mu.Lock()
	defer x.body.mu.Unlock()
	x.body.most = bytes
}

// Reader reads a request's body from its start. Of the readers of an exchange only the newest may be open.
type Reader struct {
	x    *Exchange
	at   int64
	stop error // guarded by the upload's mu
}

// Reader returns a new reader of the request's body, or ErrNotKept.
func (x *Exchange) Reader() (*Reader, error) {
	u := &x.body
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.read > int64(len(u.kept)) {
		return nil, ErrNotKept
	}
	return &Reader{x: x}, nil
}

// Read waits for the client. It fails when the client leaves or the reader is stopped.
func (r *Reader) Read(b []byte) (n int, err error) {
	n, room, err := r.read(b)
	if room {
		r.x.loop.Post(&Event{X: r.x, Kind: Room})
	}
	return n, err
}

func (r *Reader) read(b []byte) (n int, room bool, err error) {
	u := &r.x.body
	u.mu.Lock()
	defer u.mu.Unlock()
	for {
		switch {
		case r.stop != nil:
			return 0, false, r.stop
		case u.done:
			return 0, false, errDone
		case r.at < u.read && int64(len(u.kept)) < u.read: // a newer reader has gone on
			return 0, false, ErrNotKept
		case r.at < u.read:
			n = copy(b, u.kept[r.at:])
			r.at += int64(n)
			return n, false, nil
		case len(u.waits) > 0:
			n = u.take(b)
			r.at += int64(n)
			room = u.wanted && len(u.waits) <= maxUp/2
			u.wanted = u.wanted && !room
			return n, room, nil
		case u.err != nil:
			return 0, false, u.err
		case len(b) == 0:
			return 0, false, nil
		}
		u.more.Wait()
	}
}

// take moves what waits to b, and keeps it while there is not too much of it.
func (u *upload) take(b []byte) (n int) {
	n = copy(b, u.waits)
	if kept := int64(len(u.kept)); kept == u.read && kept+int64(n) <= int64(cmp.Or(u.most, MaxKept)) {
		u.kept = append(u.kept, b[:n]...)
	} else {
		u.kept = nil
	}
	u.read += int64(n)
	u.waits = append(u.waits[:0], u.waits[n:]...)
	return n
}

// Stop has Read fail with err from now on.
func (r *Reader) Stop(err error) {
	u := &r.x.body
	u.mu.Lock()
	defer u.mu.Unlock()
	if r.stop == nil {
		r.stop = err
	}
	u.more.Broadcast()
}

// Close stops the reader. It frees nothing.
func (r *Reader) Close() error {
	r.Stop(errClosed)
	return nil
}

// Whole reports whether the client has sent the whole body, and how long it is. It waits some time for the end, while there is room
// for more.
func (x *Exchange) Whole(wait time.Duration) (length int64, whole bool) {
	u := &x.body
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err == nil && wait > 0 {
		u.awaitEnd(wait)
	}
	return u.read + int64(len(u.waits)), u.err == io.EOF
}

func (u *upload) awaitEnd(wait time.Duration) {
	late := false
	timer := time.AfterFunc(wait, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		late = true
		u.more.Broadcast()
	})
	defer timer.Stop()
	for u.err == nil && !u.done && !late && len(u.waits) < maxUp {
		u.more.Wait()
	}
}

// TooLong reports whether more of the body has been read than is kept.
func (x *Exchange) TooLong() bool {
	u := &x.body
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.read > int64(len(u.kept))
}

// Kept reports whether the body has been read to its end and is kept.
func (x *Exchange) Kept() bool {
	u := &x.body
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err == io.EOF && len(u.waits) == 0 && u.read == int64(len(u.kept))
}

// Keep returns the request as it can be sent again later, when its body is Kept.
func (x *Exchange) Keep() *Again {
	u := &x.body
	u.mu.Lock()
	defer u.mu.Unlock()
	a := &Again{Request: x.Request, Body: bytes.Clone(u.kept)} // without spare room, because it may stay for long
	a.Request.Length = int64(len(u.kept))
	return a
}

// IsStopped reports whether err comes from a Reader that was closed or whose exchange is done, and so from nobody's fault.
func IsStopped(err error) bool { return err == errClosed || err == errDone }
