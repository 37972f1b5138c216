package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"holdfast/pkg/exchange"
	"holdfast/pkg/grip"
	"holdfast/pkg/route"
)

// instruct follows the instructions of a response.
func (j *job) instruct(a *attempt, resp *http.Response, t *route.Target) {
	decodeHold(resp)
	in, err := grip.Limits{Filters: j.p.opt.MaxFilters}.ParseHeader(resp.StatusCode, reason(resp), resp.Header)
	if err != nil {
		j.fail(badInstruct(err, t))
		return
	}
	body, whole, err := a.readInstruct(resp)
	if err != nil {
		j.fail(a.failed(err, t))
		return
	}
	if in.JSON && whole {
		if err := in.ParseBody(body); err != nil {
			j.fail(badInstruct(err, t))
			return
		}
		body = in.Response.Body
	}
	if f := j.judge(in, whole, t); f != nil {
		j.fail(f)
		return
	}
	if err := j.finishUpload(a); err != nil {
		j.fail(a.uploadFailed(err, t))
		return
	}
	if !whole {
		j.holdAfter(a, in, body, resp.Body, t)
		return
	}
	j.follow(in, resp, body, t)
}

// readInstruct reads the body, but not much more than MaxHoldBody of it, in which case whole is false.
func (a *attempt) readInstruct(resp *http.Response) (body []byte, whole bool, err error) {
	most := int64(a.j.p.opt.MaxHoldBody)
	a.timer.Reset(a.j.p.opt.Timeout)
	defer a.timer.Stop()
	if n := resp.ContentLength; n >= 0 && n <= most && a.j.x.Request.Method != http.MethodHead {
		body = make([]byte, n)
		if _, err := io.ReadFull(resp.Body, body); err != nil {
			return nil, false, unexpected(err)
		}
		_, _ = resp.Body.Read(make([]byte, 1)) // to the end
		return body, true, nil
	}
	body, err = io.ReadAll(io.LimitReader(resp.Body, most+1))
	return body, int64(len(body)) <= most, err
}

func badInstruct(err error, t *route.Target) *failure {
	f := &failure{cause: CauseInstruct, err: err, target: t.Addr}
	var bad *grip.Error
	if errors.As(err, &bad) {
		f.debug = "Failed to parse accept instructions: " + bad.Text
	}
	return f
}

// judge returns what keeps good instructions from being followed.
func (j *job) judge(in *grip.Instruct, whole bool, t *route.Target) *failure {
	what := in.NotServed()
	switch {
	case what != "":
		return &failure{cause: CauseNotServed, target: t.Addr, text: "The backend asks for what is not served: " + what + "."}
	case !whole && (in.JSON || in.Hold != grip.StreamHold):
		return &failure{cause: CauseTooLarge, target: t.Addr, debug: "GRIP instruct response too large from " + t.Addr}
	case in.Hold == grip.StreamHold && (in.Response.Status == http.StatusNoContent || in.Response.Status == http.StatusNotModified):
		return badInstruct(&grip.Error{Text: "a stream hold cannot have a status without content"}, t)
	}
	return nil
}

// finishUpload reads the rest of the request's body, which is kept with it. A backend may have answered before.
func (j *job) finishUpload(a *attempt) error {
	if j.x.Kept() {
		return nil
	}
	a.stopBody(errFinished)
	r, err := j.x.Reader()
	if err != nil {
		return err
	}
	defer context.AfterFunc(a.ctx, func() { r.Stop(errFinished) })()
	b := exchange.Buffer()
	defer exchange.Recycle(b)
	for {
		if _, err := r.Read(b); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if j.x.TooLong() {
			return exchange.ErrNotKept
		}
	}
}

func (a *attempt) uploadFailed(err error, t *route.Target) *failure {
	if err == exchange.ErrNotKept {
		return &failure{
			cause: CauseRequestTooLarge, status: http.StatusBadRequest, target: t.Addr,
			text: "Request too large to accept GRIP instruct.", err: err,
		}
	}
	a.mu.Lock()
	a.bodyErr = err
	a.mu.Unlock()
	return a.failed(err, t)
}

// follow answers or holds, as the instructions say, when all of the response is here.
func (j *job) follow(in *grip.Instruct, resp *http.Response, body []byte, t *route.Target) {
	h := head(in)
	h.Length = int64(len(body))
	if j.x.Request.Method == http.MethodHead && !in.JSON {
		h.Length = resp.ContentLength
	}
	if in.Hold == grip.NoHold || in.Hold == grip.StreamHold && j.x.Request.Method == http.MethodHead {
		j.answerWith(h, body)
		return
	}
	if !j.hasBody(h.Status) {
		body = nil
	}
	exposes := slices.ContainsFunc(h.Fields, func(f exchange.Field) bool {
		return strings.EqualFold(f.Name, "Access-Control-Expose-Headers")
	})
	j.finish(h)
	plan := &exchange.Plan{Instruct: in, Head: h, Body: body, Route: j.x.Route, Subs: t.Subs}
	plan.Exposes = j.autoCORS() && !exposes
	if in.Hold == grip.StreamHold {
		h.Length = -1
	} else {
		plan.Again = j.x.Keep()
	}
	j.hold(plan)
}

func head(in *grip.Instruct) *exchange.Head {
	return &exchange.Head{Status: in.Response.Status, Reason: in.Response.Reason, Fields: in.Response.Fields, Length: -1}
}

// holdAfter sends a body that is too long to wait for its end, then holds.
func (j *job) holdAfter(a *attempt, in *grip.Instruct, start []byte, rest io.Reader, t *route.Target) {
	h := head(in)
	h.Closes = true
	if !j.begin(h) {
		j.fail(tooMany(t))
		return
	}
	for len(start) > 0 {
		n := min(len(start), exchange.MaxWrite)
		if err := j.x.Write(start[:n:n]); err != nil {
			j.end(a, err, t)
			return
		}
		start = start[n:]
	}
	if err := j.stream(rest); err != nil {
		j.end(a, err, t)
		return
	}
	j.hold(&exchange.Plan{Instruct: in, Begun: true, Route: j.x.Route, Subs: t.Subs})
}

func (j *job) hold(p *exchange.Plan) {
	p.Instruct.Response = grip.Response{} // what is needed of it is in the plan
	j.p.stats.Holds.Add(1)
	j.figures.holds.Add(1)
	j.x.Hold(p)
}
