package server

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"holdfast/pkg/hub"
	"holdfast/pkg/netloop"
	"holdfast/pkg/session"
	"holdfast/pkg/stats"
	"holdfast/pkg/wire"
)

const (
	listPiece     = 1000 // channels whose subscribers are counted at a time
	defaultWindow = 1000 // ms, of rates
	maxWindow     = 10_000
)

// inspector answers what control is asked about single connections, channels and routes, by asking the loops. It is safe for all
// goroutines.
type inspector struct {
	loops *loops
}

// ask posts a task to each loop and waits until all are done, each of which tells done once.
func (in *inspector) ask(ctx context.Context, task func(loop int, done chan<- struct{}) netloop.Task) error {
	loops := in.loops.all
	done := make(chan struct{}, len(loops))
	for i, l := range loops {
		l.Post(task(i, done))
	}
	return wait(ctx, done, len(loops))
}

func wait(ctx context.Context, done <-chan struct{}, n int) error {
	for range n {
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Connections returns the first connections of an order, or the one of an id.
func (in *inspector) Connections(ctx context.Context, q stats.ConnectionQuery) (stats.ConnectionList, error) {
	if q.ID != "" {
		return in.connection(ctx, q.ID)
	}
	q.By = cmp.Or(q.By, stats.ByQueued)
	orders := []string{stats.ByQueued, stats.ByAge, stats.ByNewest, stats.ByQuiet, stats.BySubscriptions}
	if err := checkTop(q.Top, q.By, orders); err != nil {
		return stats.ConnectionList{}, err
	}
	list, err := in.scan(ctx, q, false)
	if err != nil {
		return list, err
	}
	slices.SortStableFunc(list.Connections, func(a, b stats.ConnectionInfo) int { return stats.CompareConnections(q.By, &a, &b) })
	list.Connections = list.Connections[:min(len(list.Connections), q.Top)]
	return list, nil
}

func checkTop(top int, by string, orders []string) error {
	if top < 1 || top > stats.MaxTop {
		return wire.Errorf(wire.BadRequest, "top is %d, 1 to %d are allowed", top, stats.MaxTop)
	}
	if !slices.Contains(orders, by) {
		return wire.Errorf(wire.BadRequest, "%.40q is not an order: want %s", by, strings.Join(orders, ", "))
	}
	return nil
}

// scan looks at all connections: it describes the first of those that pass the filter, or closes all that pass.
func (in *inspector) scan(ctx context.Context, q stats.ConnectionQuery, closes bool) (list stats.ConnectionList, err error) {
	if err := q.Filter.Check(); err != nil {
		return list, wire.Errorf(wire.BadRequest, "%v", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	scans := make([]*session.Scan, len(in.loops.all))
	err = in.ask(ctx, func(i int, done chan<- struct{}) netloop.Task {
		scans[i] = &session.Scan{Context: ctx, Query: q, Close: closes, Done: done}
		if q.Filter.Address != "" {
			scans[i].Prefix, _ = stats.ParsePrefix(q.Filter.Address) //nolint:errcheck // Check has read it
		}
		return scans[i]
	})
	if err != nil {
		return list, err
	}
	for _, s := range scans {
		list.Connections = append(list.Connections, s.Infos...)
		list.Matched += s.Matched
		list.Total += s.Total
	}
	return list, nil
}

// connection describes one connection in full.
func (in *inspector) connection(ctx context.Context, id string) (list stats.ConnectionList, err error) {
	name, err := in.name(id)
	if err != nil || name.Loop >= len(in.loops.all) {
		return list, err
	}
	done := make(chan struct{}, 1)
	task := &session.Describe{Name: name, Done: done}
	in.loops.all[name.Loop].Post(task)
	if err := wait(ctx, done, 1); err != nil {
		return list, err
	}
	return stats.ConnectionList{
		Connections: task.Infos, Matched: len(task.Infos), Total: in.loops.limit.Connections(),
	}, nil
}

func (in *inspector) name(id string) (session.Name, error) {
	name, ok := session.ParseName(id)
	if !ok {
		return name, wire.Errorf(wire.BadRequest, "%.40q is not the id of a connection", id)
	}
	return name, nil
}

// Close closes connections, and returns how many.
func (in *inspector) Close(ctx context.Context, q stats.CloseQuery) (int, error) {
	switch {
	case (len(q.IDs) == 0) == (q.Channel == ""):
		return 0, wire.Errorf(wire.BadRequest, "either ids or a channel have to be given")
	case len(q.IDs) > stats.MaxTop:
		return 0, wire.Errorf(wire.BadRequest, "%d ids, at most %d are allowed", len(q.IDs), stats.MaxTop)
	case q.Channel != "":
		list, err := in.scan(ctx, stats.ConnectionQuery{Filter: stats.ConnectionFilter{Channel: q.Channel}}, true)
		return list.Matched, err
	}
	tasks := make([]session.CloseNamed, len(in.loops.all))
	for _, id := range q.IDs {
		name, err := in.name(id)
		if err != nil {
			return 0, err
		}
		if name.Loop < len(tasks) {
			tasks[name.Loop].Names = append(tasks[name.Loop].Names, name)
		}
	}
	err := in.ask(ctx, func(i int, done chan<- struct{}) netloop.Task {
		tasks[i].Done = done
		return &tasks[i]
	})
	closed := 0
	if err == nil {
		for i := range tasks {
			closed += tasks[i].Closed
		}
	}
	return closed, err
}

// Routes returns the routes.
func (in *inspector) Routes(context.Context) ([]stats.RouteInfo, error) {
	return in.loops.routes.infos(), nil
}

// Listen returns a listener that gets all events from now on that pass the filter.
func (in *inspector) Listen(ctx context.Context, filter stats.EventFilter) (*stats.Listener, error) {
	l, err := in.loops.feed.Listen(filter)
	if err != nil {
		return nil, wire.Errorf(wire.BadRequest, "%v", err)
	}
	if err := in.ask(ctx, func(_ int, done chan<- struct{}) netloop.Task { return &session.Listening{Done: done} }); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Unlisten closes a listener.
func (in *inspector) Unlisten(l *stats.Listener) {
	l.Close()
	for _, loop := range in.loops.all {
		loop.Post(&session.Listening{Done: make(chan struct{}, 1)})
	}
}

// channelsInspection is one answer to a ChannelQuery in the making.
type channelsInspection struct {
	in    *inspector
	q     stats.ChannelQuery
	list  stats.ChannelList
	began time.Time
	meter *hub.Meter // of all loops; nil: deliveries are not counted
}

// Channels returns the first channels of an order.
func (in *inspector) Channels(ctx context.Context, q stats.ChannelQuery) (stats.ChannelList, error) {
	q.By = cmp.Or(q.By, stats.BySubscribers)
	if err := checkTop(q.Top, q.By, []string{stats.BySubscribers, stats.ByRate}); err != nil {
		return stats.ChannelList{}, err
	}
	if q.WindowMS < 0 || q.WindowMS > maxWindow {
		return stats.ChannelList{}, wire.Errorf(wire.BadRequest, "window_ms is %d, 0 to %d are allowed", q.WindowMS, maxWindow)
	}
	if q.By == stats.ByRate && q.WindowMS == 0 {
		q.WindowMS = defaultWindow
	}
	ci := &channelsInspection{in: in, q: q}
	if q.WindowMS > 0 {
		if err := ci.measure(ctx); err != nil {
			return ci.list, err
		}
	}
	take := ci.bySubscribers
	if q.By == stats.ByRate {
		take = ci.byRate
	}
	err := take(ctx)
	return ci.list, err
}

// measure counts the deliveries of single channels over the window.
func (ci *channelsInspection) measure(ctx context.Context) error {
	loops := ci.in.loops.all
	started := make(chan struct{}, len(loops))
	measures := make([]*session.Measure, len(loops))
	ci.began = time.Now()
	for i, l := range loops {
		measures[i] = &session.Measure{Done: started}
		l.Post(measures[i])
	}
	over := time.NewTimer(time.Duration(ci.q.WindowMS) * time.Millisecond)
	defer over.Stop()
	select {
	case <-over.C:
	case <-ctx.Done():
	}
	stopped := make(chan struct{}, len(loops))
	for i, l := range loops { // also when nobody waits for it any more
		l.Post(&session.StopMeasure{Measure: measures[i], Done: stopped})
	}
	if err := wait(ctx, stopped, len(loops)); err != nil {
		return err
	}
	ci.list.WindowMS = time.Since(ci.began).Milliseconds()
	ci.meter = measures[0].Meter
	for _, m := range measures[1:] {
		ci.meter.Merge(m.Meter)
	}
	ci.list.Uncounted = ci.meter.Uncounted
	return nil
}

// counted is a channel and its subscribers or deliveries.
type counted struct {
	hub.Listed
	n int
}

func (ci *channelsInspection) newTop() *stats.Top[counted] {
	return stats.NewTop(ci.q.Top, func(a, b *counted) bool { return a.n > b.n || a.n == b.n && a.Name < b.Name })
}

// bySubscribers goes through all channels, a piece at a time.
func (ci *channelsInspection) bySubscribers(ctx context.Context) error {
	top := ci.newTop()
	var piece []hub.Listed
	var at hub.Cursor
	for more := true; more; {
		piece, more = ci.in.loops.dir.List(piece[:0], &at, listPiece, ci.q.Prefix)
		if len(piece) == 0 {
			continue
		}
		counts, err := ci.subscribers(ctx, piece)
		if err != nil {
			return err
		}
		for i, n := range counts {
			if n > 0 { // else it has gone meanwhile
				ci.list.Matched++
				top.Add(counted{piece[i], n})
			}
		}
	}
	for _, c := range top.Take() {
		ci.add(&c.Listed, c.n)
	}
	return nil
}

// byRate takes those that had deliveries.
func (ci *channelsInspection) byRate(ctx context.Context) error {
	top := ci.newTop()
	for _, l := range ci.meter.Busy(nil, ci.in.loops.dir, ci.q.Prefix) {
		ci.list.Matched++
		top.Add(counted{l, int(ci.meter.Of(&l).Deliveries)})
	}
	var first []hub.Listed
	for _, c := range top.Take() {
		first = append(first, c.Listed)
	}
	counts, err := ci.subscribers(ctx, first)
	if err != nil {
		return err
	}
	for i, n := range counts {
		ci.add(&first[i], n)
	}
	return nil
}

// add adds a channel to the answer.
func (ci *channelsInspection) add(l *hub.Listed, subscribers int) {
	info := stats.ChannelInfo{Name: l.Name, Subscribers: subscribers}
	if ci.meter != nil {
		t, seconds := ci.meter.Of(l), float64(max(ci.list.WindowMS, 1))/1000
		info.Items, info.Deliveries = float64(t.Items)/seconds, float64(t.Deliveries)/seconds
	}
	ci.list.Channels = append(ci.list.Channels, info)
}

// subscribers counts the subscribers of channels in all loops. The answer is the caller's.
func (ci *channelsInspection) subscribers(ctx context.Context, channels []hub.Listed) ([]int, error) {
	tasks := make([]session.CountSubscribers, len(ci.in.loops.all))
	channels = slices.Clone(channels) // loops may look at it when this has been given up
	err := ci.in.ask(ctx, func(i int, done chan<- struct{}) netloop.Task {
		tasks[i] = session.CountSubscribers{Channels: channels, Counts: make([]int, len(channels)), Done: done}
		return &tasks[i]
	})
	if err != nil {
		return nil, err
	}
	sums := tasks[0].Counts
	for i := range tasks[1:] {
		for j, n := range tasks[i+1].Counts {
			sums[j] += n
		}
	}
	return sums, nil
}
