package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"holdfast/pkg/exchange"
	"holdfast/pkg/grip"
	"holdfast/pkg/http1"
	"holdfast/pkg/route"
)

// smallPiece is the size up to which a piece of a body is copied rather than sent in a buffer of its own.
const smallPiece = 4 << 10

// smallRead is the size of the buffer in which a quiet body is waited for.
const smallRead = 2 << 10

func now() time.Time { return time.Now() }

var errStatus = errors.New("the response has no final status")

// respond passes the answer on.
func (j *job) respond(a *attempt, resp *http.Response, t *route.Target) {
	defer resp.Body.Close() //nolint:errcheck // what has not been read is not wanted
	if resp.StatusCode < http.StatusOK {
		j.fail(&failure{cause: CauseParse, target: t.Addr, err: fmt.Errorf("%w: %d", errStatus, resp.StatusCode)})
		return
	}
	if !j.trusted && !j.route.NoGRIP && grip.IsInstruct(resp.Header) {
		j.instruct(a, resp, t)
		return
	}
	h := &exchange.Head{Status: resp.StatusCode, Reason: reason(resp), Fields: grip.ClientFields(resp.Header), Length: resp.ContentLength}
	if err := check(h); err != nil {
		j.fail(&failure{cause: CauseParse, target: t.Addr, err: err})
		return
	}
	if !j.hasBody(h.Status) {
		j.answerWith(h, nil)
		return
	}
	if 0 <= h.Length && h.Length <= exchange.MaxWrite {
		j.passWhole(a, h, resp.Body, t)
		return
	}
	if !j.begin(h) {
		j.fail(tooMany(t))
		return
	}
	j.end(a, j.stream(resp.Body), t)
}

// reason is the reason phrase, "" when it is the usual one anyway.
func reason(resp *http.Response) string {
	_, phrase, _ := strings.Cut(resp.Status, " ")
	if phrase == http1.Reason(resp.StatusCode) {
		return ""
	}
	return phrase
}

// check refuses a head that must not be written as it is: net/http lets control bytes pass.
func check(h *exchange.Head) error {
	if !http1.ValidFieldValue(h.Reason) {
		return fmt.Errorf("the reason phrase has a control character: %.64q", h.Reason)
	}
	for _, f := range h.Fields {
		if !http1.ValidFieldName(f.Name) {
			return fmt.Errorf("a field has the name %.64q", f.Name)
		}
		if !http1.ValidFieldValue(f.Value) {
			return fmt.Errorf("the field %s has a control character: %.64q", f.Name, f.Value)
		}
	}
	return nil
}

// headWait is how long the head of an answer waits for a short body, so that both are one write.
const headWait = 5 * time.Millisecond

// passWhole passes on a response with a short body of known length. When that has not come at once,
// the head goes first.
func (j *job) passWhole(a *attempt, h *exchange.Head, body io.Reader, t *route.Target) {
	b := make([]byte, h.Length)
	begun := j.beginIn(headWait, h)
	n, err := body.Read(b)
	whole := int64(n) == h.Length
	if !begun() {
		switch {
		case whole:
			j.wholeAnswer(h, b, body, err)
			return
		case err != nil:
			j.fail(a.failed(unexpected(err), t))
			return
		case !j.begin(h): // it keeps its place among the requests
			if _, err = io.ReadFull(body, b[n:]); err != nil {
				j.fail(a.failed(unexpected(err), t))
				return
			}
			j.wholeAnswer(h, b, body, nil)
			return
		}
	}
	if n > 0 {
		if failed := j.x.Write(b[:n:n]); failed != nil {
			j.end(a, failed, t)
			return
		}
	}
	switch {
	case err == nil:
		err = j.stream(body)
	case whole:
		err = nil
	default:
		err = unexpected(err)
	}
	j.end(a, err, t)
}

// wholeAnswer answers with a body that was read to its length; err is what came with its last
// bytes.
func (j *job) wholeAnswer(h *exchange.Head, b []byte, body io.Reader, err error) {
	if err == nil { // net/http wants to see the end before it uses the connection again
		_, _ = body.Read(make([]byte, 1))
	}
	j.answerWith(h, b)
}

// beginIn begins the answer in d, unless the function that it returns is called before. That
// reports whether the answer has begun. h is not to be used meanwhile.
func (j *job) beginIn(d time.Duration, h *exchange.Head) (begun func() bool) {
	if h.Length == 0 {
		return func() bool { return false }
	}
	result := make(chan bool, 1)
	timer := time.AfterFunc(d, func() { result <- j.begin(h) })
	return func() bool { return !timer.Stop() && <-result }
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// stream sends what is left of a body. A body that comes in small pieces, as events do, is waited
// for with a small buffer: very many such answers may be open.
func (j *job) stream(body io.Reader) error {
	small := make([]byte, smallRead)
	for more := false; ; {
		b := small
		if more {
			b = exchange.Buffer()
		}
		n, err := body.Read(b)
		if n > 0 {
			piece := b[:n]
			if n <= smallPiece {
				piece = bytes.Clone(piece)
			}
			if err := j.x.Write(piece); err != nil {
				return err
			}
		}
		if more && n <= smallPiece {
			exchange.Recycle(b)
		}
		more = n >= smallRead
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// end ends an answer that has begun, with the error that its body ended with.
func (j *job) end(a *attempt, err error, t *route.Target) {
	if err == nil {
		j.x.End(true)
		return
	}
	f := a.failed(err, t)
	if f.quiet {
		j.fail(f)
		return
	}
	f.cause = CauseCut
	j.count(f)
	j.x.End(false)
}
