// Package plot draws values over time as one SVG picture: panels one above the other over one axis of time. The picture needs no
// script and no font of its own, follows the reader's light or dark scheme where the viewer has one, and tells lines apart by
// their dashes as well as by colour.
package plot
