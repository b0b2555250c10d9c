package revocation_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"iter"
	"math/big"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps/attestation/revocation"
	"github.com/zerotouch-dps/dps/internal/testpki"
)

const million = 1_000_000

// serial is the i-th of a fixed sequence of random serial numbers of 16 bytes.
func serial(i int) *big.Int {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
	return new(big.Int).SetBytes(sum[:16])
}

func serials(n int) iter.Seq[*big.Int] {
	return func(yield func(*big.Int) bool) {
		for i := range n {
			if !yield(serial(i)) {
				return
			}
		}
	}
}

type large struct {
	ca  *testpki.Entity
	der []byte
}

// millionEntries is made once.
var millionEntries = sync.OnceValues(func() (l large, err error) {
	if l.ca, err = testpki.Root("Line 4 CA", day(1)); err != nil {
		return l, err
	}
	l.der, err = l.ca.RevocationList(day(2), day(9), serials(million))
	return l, err
})

// base is the obvious way: all of x509's, and a map.
type base map[string]revocation.Entry

func parseBase(der []byte, issuer *x509.Certificate) (base, error) {
	l, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, err
	}
	if err := l.CheckSignatureFrom(issuer); err != nil {
		return nil, err
	}
	m := make(base, len(l.RevokedCertificateEntries))
	for _, e := range l.RevokedCertificateEntries {
		m[string(e.SerialNumber.Bytes())] = revocation.Entry{At: e.RevocationTime, Reason: "keyCompromise"}
	}
	return m, nil
}

func parseOurs(der []byte, issuer *x509.Certificate) (*revocation.List, error) {
	l, err := revocation.ParseList(der)
	if err != nil {
		return nil, err
	}
	return l, l.SignedBy(issuer)
}

// BenchmarkParseList loads a list of a million entries and checks its signature; B/entry
// is what the result holds of the heap beside the DER, B/op what was allocated.
func BenchmarkParseList(b *testing.B) {
	measureParse(b, "ours", parseOurs)
	measureParse(b, "base", parseBase)
}

func measureParse[T any](b *testing.B, name string, parse func([]byte, *x509.Certificate) (T, error)) {
	b.Run(name, func(b *testing.B) {
		l, err := millionEntries()
		if err != nil {
			b.Fatal(err)
		}
		var held T
		before := heap()
		var spent time.Duration
		for b.Loop() {
			start := time.Now()
			if held, err = parse(l.der, l.ca.Cert); err != nil {
				b.Fatal(err)
			}
			spent += time.Since(start)
		}
		b.ReportMetric(float64(spent.Milliseconds())/float64(b.N), "ms/list")
		b.ReportMetric(float64(heap()-before)/million, "B/entry")
		runtime.KeepAlive(held)
		runtime.KeepAlive(l)
	})
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkFind looks every hundredth revoked serial number up, and as many that are not.
func BenchmarkFind(b *testing.B) {
	l, err := millionEntries()
	if err != nil {
		b.Fatal(err)
	}
	wanted := make([]*big.Int, 0, million/50)
	for i := 0; i < 2*million; i += 100 {
		wanted = append(wanted, serial(i))
	}
	ours, err := parseOurs(l.der, l.ca.Cert)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("ours", func(b *testing.B) {
		measureFind(b, wanted, func(n *big.Int) bool { _, ok := ours.Find(n); return ok })
	})
	all, err := parseBase(l.der, l.ca.Cert)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("base", func(b *testing.B) {
		measureFind(b, wanted, func(n *big.Int) bool { _, ok := all[string(n.Bytes())]; return ok })
	})
}

func measureFind(b *testing.B, wanted []*big.Int, find func(*big.Int) bool) {
	found, i := 0, 0
	b.ReportAllocs()
	for b.Loop() {
		if find(wanted[i%len(wanted)]) {
			found++
		}
		i++
	}
	if share := float64(found) / float64(i); i > len(wanted) && (share < 0.4 || share > 0.6) {
		b.Errorf("found %v of all", share)
	}
}

// BenchmarkCheck is what an admission pays for a list in memory.
func BenchmarkCheck(b *testing.B) {
	l, err := millionEntries()
	if err != nil {
		b.Fatal(err)
	}
	c := revocation.New(revocation.Config{Now: func() time.Time { return day(3) }})
	s := &revocation.Source{Issuer: l.ca.Cert, Upload: &revocation.Upload{
		SHA256: "0", Load: func(context.Context) ([]byte, error) { return l.der, nil },
	}}
	cert := leaf(b, l.ca)
	if _, err := c.Check(b.Context(), s, cert); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Check(b.Context(), s, cert); err != nil {
			b.Fatal(err)
		}
	}
}
