package proxy

import (
	"errors"
	"io"
	"net"
	"syscall"

	"holdfast/pkg/exchange"
)

// Cause is why a request was not answered by its backend.
type Cause uint8

// The causes.
const (
	CauseDial            Cause = iota // the connection was refused, or could not be made in time
	CauseTLS                          // the TLS handshake went wrong
	CauseTimeout                      // no answer came in time
	CauseEOF                          // the backend closed or reset the connection
	CauseParse                        // it sent what is no HTTP response
	CauseInstruct                     // its instruction is wrong
	CauseTooLarge                     // its instruction is too large
	CauseNotServed                    // it, or the request, asks for what pushd does not do
	CauseRequestTooLarge              // the request is too large to be held
	CauseForbidden                    // the client may not ask this
	CauseBlocked                      // the address is on the deny list
	CauseBusy                         // too much waits for backends
	CauseBody                         // the client's body is wrong
	CauseCut                          // the answer broke off when it had begun

	numCauses
)

var causes = [numCauses]string{
	CauseDial:            "dial",
	CauseTLS:             "tls",
	CauseTimeout:         "timeout",
	CauseEOF:             "eof",
	CauseParse:           "parse",
	CauseInstruct:        "instruct",
	CauseTooLarge:        "instruct-too-large",
	CauseNotServed:       "not-served",
	CauseRequestTooLarge: "request-too-large",
	CauseForbidden:       "forbidden",
	CauseBlocked:         "blocked",
	CauseBusy:            "busy",
	CauseBody:            "request-body",
	CauseCut:             "cut",
}

// String returns the name of the cause in logs and statistics.
func (c Cause) String() string {
	if c >= numCauses {
		return "unknown"
	}
	return causes[c]
}

var (
	errTimeout  = errors.New("no answer in time")
	errClosing  = errors.New("pushd is stopping")
	errBlocked  = errors.New("the address is on the deny list")
	errFinished = errors.New("the exchange is over")
)

// dialError is an error from before there was a connection, tlsError one from before it was secure.
type (
	dialError struct{ error }
	tlsError  struct{ error }
)

func (e *dialError) Unwrap() error { return e.error }
func (e *tlsError) Unwrap() error  { return e.error }

// causeOf tells what an error of net/http's Transport means. Those of the request's own end are known before.
func causeOf(err error) Cause {
	var dial *dialError
	var tls *tlsError
	var op *net.OpError
	switch {
	case errors.Is(err, errBlocked):
		return CauseBlocked
	case errors.As(err, &dial):
		return CauseDial
	case errors.As(err, &tls):
		return CauseTLS
	case errors.Is(err, errTimeout):
		return CauseTimeout
	case errors.Is(err, exchange.ErrNotKept), // the connection was lost, and the request could not be repeated
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &op),
		errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET), errors.Is(err, net.ErrClosed),
		err.Error() == "http: server closed idle connection": // a value that net/http does not export
		return CauseEOF
	}
	return CauseParse
}
