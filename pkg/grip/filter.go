package grip

import (
	"slices"
	"strings"
)

// Filter is a set of filters that a subscription has.
type Filter uint8

// The filters of GRIP.
const (
	SkipSelf   Filter = 1 << iota // not the items that the subscriber sent
	SkipUsers                     // not the items that exclude the subscriber
	RequireSub                    // items that demand a second subscription: only with it
	BuildID
	VarSubst
	HTTPCheck
	HTTPModify

	// Served are the filters that Match knows.
	Served = SkipSelf | SkipUsers | RequireSub
)

var filterNames = [...]string{"skip-self", "skip-users", "require-sub", "build-id", "var-subst", "http-check", "http-modify"}

// FilterByName returns the filter called name, or 0, which filters nothing, for a name that is unknown.
func FilterByName(name string) Filter {
	for i, n := range filterNames {
		if n == name {
			return 1 << i
		}
	}
	return 0
}

// String returns the names, joined by commas.
func (f Filter) String() string {
	var names []string
	for i, n := range filterNames {
		if f&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return strings.Join(names, ", ")
}

// UserMeta is the name in a subscription's metadata under which SkipSelf and SkipUsers find the subscriber.
const UserMeta = "user"

// Match is what an item's metadata says to filters. It is made once for an item and read for each subscription.
type Match struct {
	// RequireSub is the channel, without the route's prefix, that a subscription with that filter needs beside its own.
	RequireSub string

	sender string
	skip   []string // sorted
}

// NewMatch reads the metadata of an item.
func NewMatch(meta map[string]string) Match {
	m := Match{RequireSub: meta["require_sub"], sender: meta["sender"]}
	list, found := meta["skip_users"]
	if !found {
		return m
	}
	m.skip = make([]string, 0, 1+strings.Count(list, ","))
	for user := range strings.SplitSeq(list, ",") {
		if user = strings.TrimSpace(user); user != "" {
			m.skip = append(m.skip, user)
		}
	}
	slices.Sort(m.skip)
	return m
}

// Filters returns the filters for which the item has something, so that others need not be asked.
func (m *Match) Filters() Filter {
	var f Filter
	if m.sender != "" {
		f |= SkipSelf
	}
	if len(m.skip) > 0 {
		f |= SkipUsers
	}
	if m.RequireSub != "" {
		f |= RequireSub
	}
	return f
}

// Allows reports whether the item goes to a subscription with the filters f, whose metadata names user (or "").
// subscribed tells whether the same client is subscribed to a channel, named without the route's prefix; it is asked only
// for RequireSub.
func Allows[T string | []byte](m *Match, f Filter, user T, subscribed func(channel string) bool) bool {
	f &= m.Filters()
	if f&SkipSelf != 0 && string(user) == m.sender { // the sender is not empty
		return false
	}
	if f&SkipUsers != 0 {
		if _, skipped := slices.BinarySearch(m.skip, string(user)); skipped {
			return false
		}
	}
	return f&RequireSub == 0 || subscribed(m.RequireSub)
}
