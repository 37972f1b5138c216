package stats

// Backends is what became of all requests for backends. It is there with a routes file only.
type Backends struct {
	Requests       uint64            `json:"requests" msgpack:"requests"`               // that were given to a backend's route
	Holds          uint64            `json:"holds" msgpack:"holds"`                     // of them, held
	Errors         map[string]uint64 `json:"errors" msgpack:"errors"`                   // those that went wrong, by cause
	Retries        uint64            `json:"retries" msgpack:"retries"`                 // sent once more, on a new connection
	Failovers      uint64            `json:"failovers" msgpack:"failovers"`             // targets passed over
	Gone           uint64            `json:"gone" msgpack:"gone"`                       // whose client left first
	InFlight       int64             `json:"in_flight" msgpack:"in_flight"`             // at a backend now
	Waiting        int64             `json:"waiting" msgpack:"waiting"`                 // for their turn now
	Connections    int64             `json:"connections" msgpack:"connections"`         // to backends, with the idle ones
	ReloadFailures uint64            `json:"reload_failures" msgpack:"reload_failures"` // times that the routes file was bad when read again
}
