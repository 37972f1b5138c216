package exchange

import "holdfast/pkg/grip"

// Field is a header field.
type Field = grip.Field

// Plan is how a connection is to be held. It belongs to the loop, and nothing of it is in use elsewhere.
type Plan struct {
	Instruct *grip.Instruct

	// Begun says that the answer has begun and all of its first body is on its way: only the hold is left to do. Head and Body are
	// then empty.
	Begun bool

	// Head and Body are the response that a stream hold sends at once, and a response hold when it times out. Head.Length is -1
	// for a stream. The Instruct's own Response is empty.
	Head *Head
	Body []byte

	// Exposes says that Head exposes all of its fields to scripts of other origins because the
	// backend left that out: so are those that an item adds.
	Exposes bool

	Again *Again   // of a response hold; nil when the request is not sent again
	Route any      // as in the Exchange
	Subs  []string // channels that the target adds to those of the Instruct; without the route's prefix, and never to get it
}

// Again is a request that can be sent again.
type Again struct {
	Request Request // its Length is that of Body
	Body    []byte
}
