package plot

import "math"

// thin leaves at most two points in each of columns of equal time: the lowest and the highest, in their order. A spike of one
// reading among 100,000 is still there. A column in which nothing is known stays a gap. column gives that of a point.
func thin(points []Point, column func(Point) int) []Point {
	var out []Point
	for i := 0; i < len(points); {
		first, low, high := i, -1, -1
		for here := column(points[i]); i < len(points) && column(points[i]) == here; i++ {
			v := points[i].Value
			if math.IsNaN(v) || math.IsInf(v, 0) {
				continue
			}
			if low < 0 || v < points[low].Value {
				low = i
			}
			if high < 0 || v > points[high].Value {
				high = i
			}
		}
		switch {
		case low < 0:
			out = append(out, Point{Time: points[first].Time, Value: Gap})
		case low == high:
			out = append(out, points[low])
		default:
			out = append(out, points[min(low, high)], points[max(low, high)])
		}
	}
	return out
}
