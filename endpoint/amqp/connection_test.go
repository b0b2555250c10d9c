package amqp_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zerotouch-dps/dps/endpoint/amqp/wire"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, &registrar{}, nil)
		o := p.open()
		if o.MaxFrameSize != 64<<10 || o.ChannelMax != 0 || o.IdleTimeout != time.Minute {
			t.Errorf("opened with %+v", o)
		}
	})
}

// The peer has a frame at least twice in each of its idle times.
func TestHeartbeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, &registrar{}, nil)
		p.header(wire.HeaderAMQP())
		p.say(&wire.Open{ContainerID: "c", MaxFrameSize: 512, IdleTimeout: 20 * time.Second})
		began := time.Now()
		next[beat](p)
		next[beat](p)
		if took := time.Since(began); took != 20*time.Second {
			t.Errorf("two heartbeats in %s", took)
		}
	})
}

// Heartbeats of the peer keep a proven connection.
func TestKeptAlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := ready(t, &registrar{result: assigned()})
		p.send(0, register(nil))
		p.answer()
		for range 10 {
			time.Sleep(time.Minute)
			p.raw(wire.AppendFrame(nil, nil, nil))
		}
		p.send(1, register(nil))
		p.answer()
	})
}

// While a request is in work the connection goes on.
func TestHeardWhileWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &registrar{result: assigned(), wait: make(chan struct{})}
		p := ready(t, r)
		p.send(0, register(nil))
		p.say(&wire.Flow{IncomingWindow: 100, Echo: true})
		next[*wire.Flow](p)
		close(r.wait)
		p.answer()
	})
}

// A shutdown answers what was taken and says that it closes.
func TestDrain(t *testing.T) {
	t.Parallel()
	in(t, "busy", func(t *testing.T) {
		r := &registrar{result: assigned(), wait: make(chan struct{})}
		p := ready(t, r)
		p.send(0, register(nil))
		synctest.Wait()
		p.stop()
		synctest.Wait()
		close(r.wait)
		if m, _ := p.answer(); !strings.Contains(string(m.Body), "assigned") {
			t.Errorf("answer %s", m.Body)
		}
		if e := p.ended(); e == nil || e.Condition != "amqp:connection:forced" {
			t.Errorf("closed with %v", e)
		}
	})
	in(t, "idle", func(t *testing.T) {
		p := ready(t, &registrar{})
		p.stop()
		if e := p.ended(); e == nil || e.Condition != "amqp:connection:forced" {
			t.Errorf("closed with %v", e)
		}
	})
	in(t, "before open", func(t *testing.T) {
		p := connect(t, &registrar{}, nil)
		synctest.Wait()
		began := time.Now()
		p.stop()
		p.ended()
		if took := time.Since(began); took > 0 {
			t.Errorf("ended after %s", took)
		}
	})
}

// Answers wait for credit and window, and are cut to the peer's frames.
func TestAnswerWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		result := assigned()
		result.Registration.Assignment.Payload = []byte(`"` + strings.Repeat("x", 5000) + `"`)
		p := connect(t, &registrar{result: result}, nil)
		p.plain(address, goodToken)
		p.header(wire.HeaderAMQP())
		p.say(&wire.Open{ContainerID: "c", MaxFrameSize: 512}, &wire.Begin{IncomingWindow: 2, OutgoingWindow: 9, HandleMax: 7},
			&wire.Attach{Name: "out", Handle: 1, Role: wire.Sender, Target: &wire.Terminus{Address: address}})
		next[*wire.Flow](p)
		p.send(0, register("id"))
		if d := next[*wire.Disposition](p); d.State.Outcome != wire.Accepted {
			t.Fatalf("disposition %+v", d)
		}
		silence(p) // no link for answers
		p.say(&wire.Attach{Name: "in", Handle: 0, Role: wire.Receiver, Source: &wire.Terminus{Address: address}})
		next[*wire.Attach](p)
		silence(p) // no credit
		p.say(&wire.Flow{NextIncomingID: new(uint32), IncomingWindow: 2, Handle: new(uint32), DeliveryCount: new(uint32), LinkCredit: new(uint32(1))})
		size := 0
		for i := range uint32(100) {
			part := next[heard](p)
			size += len(part.payload)
			if len(part.payload) > 512 {
				t.Fatalf("a part of %d bytes", len(part.payload))
			}
			if !part.transfer.More {
				break
			}
			if i%2 == 1 {
				silence(p) // the window is used up
				p.say(&wire.Flow{NextIncomingID: new(i + 1), IncomingWindow: 2})
			}
		}
		if size < 5000 {
			t.Errorf("the answer has %d bytes", size)
		}
	})
}

// silence holds that no transfer comes.
func silence(p *peer) {
	p.t.Helper()
	synctest.Wait()
	for len(p.events) > 0 {
		if e, ok := (<-p.events).(heard); ok {
			p.t.Fatalf("got %+v", e.transfer)
		}
	}
}

// Settlement as the peer wants it: Java and uAMQP unsettled, others perhaps settled.
func TestSettlement(t *testing.T) {
	t.Parallel()
	in(t, "settled by us", func(t *testing.T) {
		p := connect(t, &registrar{result: assigned()}, nil)
		p.plain(address, goodToken)
		p.open()
		p.say(&wire.Attach{Name: "in", Handle: 0, Role: wire.Receiver, SenderSettleMode: wire.SettleSettled, Source: &wire.Terminus{Address: address}},
			&wire.Flow{IncomingWindow: 100, Handle: new(uint32), LinkCredit: new(uint32(1))},
			&wire.Attach{Name: "out", Handle: 1, Role: wire.Sender, Target: &wire.Terminus{Address: address}})
		for next[*wire.Flow](p).Handle == nil {
		}
		p.send(0, register(nil))
		if _, transfer := p.answer(); !transfer.Settled {
			t.Error("the answer is not settled")
		}
	})
	in(t, "in two steps", func(t *testing.T) {
		p := ready(t, &registrar{result: assigned()})
		p.send(0, register(nil))
		_, transfer := p.answer()
		id := *transfer.DeliveryID
		p.say(&wire.Disposition{Role: wire.Receiver, First: id, Last: id, State: wire.State{Outcome: wire.Accepted}})
		if d := next[*wire.Disposition](p); d.Role != wire.Sender || !d.Settled || d.First != id {
			t.Errorf("disposition %+v", d)
		}
	})
	in(t, "request settled by the device", func(t *testing.T) {
		p := ready(t, &registrar{err: errNone})
		p.raw(wire.AppendFrame(nil, &wire.Transfer{Handle: 1, DeliveryID: new(uint32), Settled: true}, register("id")))
		m, _ := p.answer() // there is no delivery to reject
		if m.Properties.Text("iotdps-status") != "500" || !strings.Contains(string(m.Body), "500000") {
			t.Errorf("answer %v %s", m.Properties, m.Body)
		}
	})
}

type plainError string

func (e plainError) Error() string { return string(e) }

const errNone = plainError("no store")

// Sessions and links can be ended and begun anew.
func TestAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := ready(t, &registrar{result: assigned()})
		p.say(&wire.Detach{Handle: 1, Closed: true})
		if d := next[*wire.Detach](p); d.Handle != 1 || d.Error != nil {
			t.Errorf("detached %+v", d)
		}
		p.say(&wire.End{})
		next[*wire.End](p)
		p.say(&wire.Begin{IncomingWindow: 100, OutgoingWindow: 100, HandleMax: 7})
		next[*wire.Begin](p)
		p.links(address)
		p.send(0, register(nil))
		p.answer()
	})
}

// One link of each direction is what a device needs.
func TestSecondLink(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := ready(t, &registrar{})
		p.say(&wire.Attach{Name: "more", Handle: 3, Role: wire.Sender, Target: &wire.Terminus{Address: address}})
		if d := next[*wire.Detach](p); d.Error == nil || d.Error.Condition != "amqp:resource-limit-exceeded" {
			t.Errorf("detached with %v", d.Error)
		}
	})
}

// A receiver that drains gets its credit back.
func TestDrainedCredit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := ready(t, &registrar{})
		p.say(&wire.Flow{IncomingWindow: 10, Handle: new(uint32), DeliveryCount: new(uint32), LinkCredit: new(uint32(10)), Drain: true})
		for {
			if f := next[*wire.Flow](p); f.Handle != nil && *f.Handle == 0 {
				if *f.LinkCredit != 0 || *f.DeliveryCount != 10 {
					t.Errorf("flow %+v", f)
				}
				return
			}
		}
	})
}

// A delivery that the device aborts asks nothing.
func TestAborted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &registrar{result: assigned()}
		p := ready(t, r)
		p.say(&wire.Transfer{Handle: 1, DeliveryID: new(uint32), More: true}, &wire.Transfer{Handle: 1, Aborted: true})
		next[*wire.Flow](p) // the credit is back
		p.send(1, register(nil))
		p.answer()
		if len(r.asked) != 1 {
			t.Errorf("asked %d times", len(r.asked))
		}
	})
}
