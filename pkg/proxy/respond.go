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
	j.finish(h)
	j.x.Begin(h)
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

// passWhole passes on a response with a short body of known length. When that has not come at once, the head goes first.
func (j *job) passWhole(a *attempt, h *exchange.Head, body io.Reader, t *route.Target) {
	b := make([]byte, h.Length)
	n, err := body.Read(b)
	if int64(n) == h.Length {
		if err == nil { // net/http wants to see the end before it uses the connection again
			_, _ = body.Read(make([]byte, 1))
		}
		j.answerWith(h, b)
		return
	}
	if err != nil {
		j.fail(a.failed(unexpected(err), t))
		return
	}
	j.finish(h)
	j.x.Begin(h)
	if err = j.x.Write(b[:n:n]); err == nil {
		err = j.stream(body)
	}
	j.end(a, err, t)
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// stream sends what is left of a body.
func (j *job) stream(body io.Reader) error {
	b := exchange.Buffer()
	for {
		n, err := body.Read(b)
		piece := b[:n]
		switch {
		case n > smallPiece:
			b = exchange.Buffer()
		case n > 0:
			piece = bytes.Clone(piece)
		}
		if n > 0 {
			if err := j.x.Write(piece); err != nil {
				return err
			}
		}
		if err != nil {
			exchange.Recycle(b)
			if err == io.EOF {
				return nil
			}
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
