package origin

// List returns the origins that Parse got, as browsers write them; an index of a Verdict names one of them.
func (r *Rules) List() []string {
	if r == nil {
		return nil
	}
	if r.any {
		return []string{"*"}
	}
	all := make([]string, len(r.listed))
	for i, o := range r.listed {
		all[i] = o.String()
	}
	return all
}

// String returns the serialized origin (RFC 6454 6.2).
func (o origin) String() string {
	if o == (origin{}) {
		return "null"
	}
	if o.port != "" {
		return o.scheme + "://" + o.host + ":" + o.port
	}
	return o.scheme + "://" + o.host
}
