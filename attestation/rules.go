package attestation

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
)

// Rules narrow which certificates a scope takes; the zero value narrows nothing.
type Rules struct {
	MaxChainLength    int      // device and trust anchor counted; 0: no limit of its own
	MinRSABits        int      // 0: 2048
	Algorithms        []string // "RSA", "ECDSA", "Ed25519"; empty: all
	RequireClientAuth bool     // in the device certificate's extended key usage
}

// hold returns the paths that keep the rules. With none, it says which rule the last breaks.
func (r Rules) hold(leaf *x509.Certificate, found [][]*x509.Certificate) (paths []Path, err error) {
	for _, path := range found {
		if why := r.check(leaf, path); why != nil {
			err = why
			continue
		}
		paths = append(paths, path)
	}
	if len(paths) > 0 {
		err = nil
	}
	return paths, err
}

// check holds a device certificate and the path above it to the rules.
func (r Rules) check(leaf *x509.Certificate, path Path) error {
	if n := len(path) + 1; r.MaxChainLength > 0 && n > r.MaxChainLength {
		return fmt.Errorf("the chain has %d certificates; the scope takes %d at most", n, r.MaxChainLength)
	}
	if r.RequireClientAuth && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		return fmt.Errorf("certificate %s: its extended key usage does not name client authentication, which the scope requires", called(leaf))
	}
	if err := r.checkKey(leaf); err != nil {
		return err
	}
	for _, c := range path {
		if err := r.checkKey(c); err != nil {
			return err
		}
	}
	return nil
}

func (r Rules) checkKey(c *x509.Certificate) error {
	algorithm := ""
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < r.MinRSABits {
			return fmt.Errorf("certificate %s has an RSA key of %d bits; the scope takes %d at least", called(c), bits, r.MinRSABits)
		}
		algorithm = "RSA"
	case *ecdsa.PublicKey:
		algorithm = "ECDSA"
	case ed25519.PublicKey:
		algorithm = "Ed25519"
	}
	if len(r.Algorithms) > 0 && !slices.Contains(r.Algorithms, algorithm) {
		return fmt.Errorf("certificate %s has an %s key, which the scope does not take", called(c), algorithm)
	}
	return nil
}
