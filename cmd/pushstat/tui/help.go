package tui

// helpScreen fits 80x24, and says the most important keys first for screens that are smaller.
func (m *model) helpScreen() []line {
	out := []line{line{}.add(strong, " pushstat: keys").add(dim, "   (any key goes back)"), nil}
	for _, s := range []struct{ title, keys, does string }{
		{"", "1 - 6, tab, shift-tab", "Overview Loops Channels Connections Routes Events"},
		{"", "q, ctrl-c", "quit"},
		{"", "space", "pause: pushd is asked nothing until space goes on"},
		{"", "+  -", "refresh more, less often"},
		{"", "r  R", "totals count from now; from the start of pushd again"},
		{"", "] [  0", "next, previous pushd; the sum (several --socket)"},
		{"", "j k, pgup pgdn, g G", "move (arrows too); to the first and the last"},
		{"", "s  S", "next, previous order of the list"},
		{"", "/", "filter; esc takes it away"},
		{"", "enter  esc", "a connection or route in full; back"},
		{"", "x", "close the connection under the cursor (asks first)"},
		{"", "a  c", "in Events: all of them or only troubles; clear"},
	} {
		out = append(out, line{}.add(accent, padRight("   "+s.keys, 26)).add(plain, s.does))
	}
	return append(out, nil,
		line{}.add(strong, " Filters").add(plain, "  kind=ws  address=10.0.0.0/8  channel=news  (channel last)"),
		line{}.add(plain, "          or one word alone; in Events also type=drop,overload"),
		nil,
		line{}.add(strong, " Status").add(plain, "   OK, WARNING or CRITICAL, by what happened in the last minute"),
		line{}.add(strong, " Lag").add(plain, "      how long a loop's batch of events took: others waited as long"),
		line{}.add(strong, " p99").add(plain, "      99 of 100 were faster, in the last 10 seconds"),
	)
}
