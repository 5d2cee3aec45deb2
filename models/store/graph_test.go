package store

import (
	"encoding/xml"
	"fmt"
	"math"
	"strings"
	"testing"
)

// The picture: both axes are logarithmic, from 10,000 to 10 million messages and from 0.01 to 1,000 ms.
const (
	graphWidth, graphHeight         = 760, 400
	graphLeft, graphRight           = 70, 190
	graphTop, graphBottom           = 20, 50
	fewest, decadesOfMessages       = 10_000, 3
	shortest, decadesOfMilliseconds = 0.01, 5
)

func graphX(n int) float64 {
	return graphLeft + math.Log10(float64(n)/fewest)/decadesOfMessages*(graphWidth-graphLeft-graphRight)
}

func graphY(ms float64) float64 {
	share := math.Log10(math.Max(ms, shortest)/shortest) / decadesOfMilliseconds
	return graphHeight - graphBottom - min(share, 1)*(graphHeight-graphTop-graphBottom)
}

// svg draws a line for each name.
func (g *graph) svg() string {
	colours := []string{"#2563eb", "#16a34a", "#d97706", "#9333ea", "#0891b2", "#dc2626", "#64748b"}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="12" role="img">`+"\n",
		graphWidth, graphHeight)
	b.WriteString("<title>Milliseconds a read takes, by how many messages are stored</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n")
	label := func(x, y float64, anchor, colour, text string) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">%s</text>`+"\n", x, y, anchor, colour, text)
	}
	line := func(x1, y1, x2, y2 float64) {
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#e2e8f0"/>`+"\n", x1, y1, x2, y2)
	}
	for i, text := range []string{"10,000", "100,000", "1 million", "10 million"} {
		x := graphX(fewest * int(math.Pow10(i)))
		line(x, graphTop, x, graphHeight-graphBottom)
		label(x, graphHeight-graphBottom+18, "middle", "#475569", text)
	}
	for i, text := range []string{"0.01 ms", "0.1 ms", "1 ms", "10 ms", "100 ms", "1 s"} {
		y := graphY(shortest * math.Pow10(i))
		line(graphLeft, y, graphWidth-graphRight, y)
		label(graphLeft-8, y+4, "end", "#475569", text)
	}
	label((graphLeft+graphWidth-graphRight)/2, graphHeight-12, "middle", "#475569", "messages stored")
	for i, name := range g.names {
		colour := colours[i%len(colours)]
		var path []string
		for _, p := range g.points[name] {
			path = append(path, fmt.Sprintf("%.1f,%.1f", graphX(p.n), graphY(p.ms)))
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(path, " "), colour)
		last := g.points[name][len(g.points[name])-1]
		y := float64(graphTop + 14 + 20*i)
		fmt.Fprintf(&b, `<circle cx="%d" cy="%.1f" r="4" fill="%s"/>`+"\n", graphWidth-graphRight+20, y-4, colour)
		label(graphWidth-graphRight+32, y, "start", "#0f172a", fmt.Sprintf("%s, %.2g ms", name, last.ms))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func TestAGraphIsAPicture(t *testing.T) {
	var g graph
	for _, n := range []int{10_000, 5_000_000} {
		g.add("newest page", n, 0.1)
		g.add("start", n, 5_000) // beyond the picture
	}
	var any struct {
		Lines []struct {
			Points string `xml:"points,attr"`
		} `xml:"polyline"`
	}
	if err := xml.Unmarshal([]byte(g.svg()), &any); err != nil || len(any.Lines) != 2 {
		t.Fatalf("%v, %d lines", err, len(any.Lines))
	}
	if got, want := any.Lines[1].Points, "70.0,20.0 519.8,20.0"; got != want {
		t.Errorf("the line that is too high goes along %s, not %s", got, want)
	}
	if want := "| newest page | 0.10 | 0.10 |\n"; !strings.Contains(g.table(), want) {
		t.Errorf("no %q in\n%s", want, g.table())
	}
}
