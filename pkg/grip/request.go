package grip

import (
	"maps"
	"net/http"
	"net/netip"
	"strings"
)

// Feature is the value of Grip-Feature: the names of the reference, in its order, of what pushd serves.
const Feature = "status, filter:skip-self, filter:skip-users, filter:require-sub"

// LastID is an item that the client has, for Grip-Last.
type LastID struct{ Channel, ID string } // the channel without the route's prefix

// Rewrite makes the header of the request to a backend out of the client's.
type Rewrite struct {
	Route     []Field // header= of the route, in its order: each replaces, and with an empty value removes
	DropRoute bool    // accept_pushpin_route is on: the backend does not see Pushpin-Route
	CDNLoop   string  // the token of cdn_loop

	Trusted bool     // the client is a GRIP proxy whose signature was verified
	GRIP    bool     // the route speaks GRIP
	Sig     string   // the token for Grip-Sig
	Last    []LastID // with which a request is sent again

	Proto  ForwardedProto
	Secure bool // the client's connection counts as encrypted
	For    ForwardedFor
	Peer   netip.Addr // of the client, for For
}

// Apply changes h, the header of the client's request in canonical form, in the order of Pushpin, and makes net/http add no
// User-Agent of its own. Host is not in h.
//
// Accept-Encoding goes only to where the answer cannot be an instruction, because a compressed one could not be held:
// the Transport must have DisableCompression set, or it asks for gzip itself.
func (r *Rewrite) Apply(h http.Header) {
	// Before anything is added, or a client could have it removed by naming it in Connection.
	RemoveHopByHop(h)
	r.removeLookalikes(h)
	for _, f := range r.Route {
		h.Del(f.Name)
		if f.Value != "" {
			h.Set(f.Name, f.Value)
		}
	}
	maps.DeleteFunc(h, func(name string, _ []string) bool { return hopByHop[name] }) // a route may have named them
	h.Del("Expect")                                                                  // answered by pushd
	if r.DropRoute {
		h.Del("Pushpin-Route")
	}
	if r.CDNLoop != "" {
		setList(h, "Cdn-Loop", append(elements(h, "Cdn-Loop"), r.CDNLoop))
	}
	if !r.Trusted {
		r.applyGRIP(h)
	}
	r.Proto.apply(h, r.Secure)
	r.For.apply(h, r.Peer)
	if _, found := h["User-Agent"]; !found {
		h["User-Agent"] = []string{""}
	}
}

func (r *Rewrite) applyGRIP(h http.Header) {
	maps.DeleteFunc(h, func(name string, _ []string) bool { return isGrip(name) })
	if !r.GRIP {
		return
	}
	h.Del("Accept-Encoding")
	if r.Sig != "" {
		h.Set("Grip-Sig", r.Sig)
	}
	h.Set("Grip-Feature", Feature)
	for _, last := range r.Last {
		h.Add("Grip-Last", last.String())
	}
}

// String returns the value of Grip-Last.
func (l LastID) String() string { return l.Channel + "; last-id=" + quoteParam(l.ID) }

// quoteParam puts quotes around a value that would not be read back without.
func quoteParam(s string) string {
	if s != "" && !strings.ContainsAny(s, `";,\`) && trim(s) == s {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// removeLookalikes deletes fields with "_" in place of "-" in a name that is set or removed here: CGI, WSGI and PHP show
// both spellings to an application as one variable, so that a client could speak in our name.
func (r *Rewrite) removeLookalikes(h http.Header) {
	maps.DeleteFunc(h, func(name string, _ []string) bool {
		if !strings.Contains(name, "_") {
			return false
		}
		name = http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
		switch {
		case isGrip(name):
			return !r.Trusted
		case name == "X-Forwarded-Proto" || name == "X-Forwarded-Protocol":
			return r.Proto != ForwardedProto{}
		case name == "X-Forwarded-For":
			return r.For != ForwardedFor{}
		}
		for _, f := range r.Route {
			if http.CanonicalHeaderKey(strings.ReplaceAll(f.Name, "_", "-")) == name {
				return true
			}
		}
		return false
	})
}

// setList sets the field to one value with the elements that are not empty, or deletes it when there is none.
func setList(h http.Header, name string, list []string) {
	var b strings.Builder
	for _, element := range list {
		if element == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(element)
	}
	if b.Len() == 0 {
		delete(h, name)
		return
	}
	h[name] = []string{b.String()}
}
