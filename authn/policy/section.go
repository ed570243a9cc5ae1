package policy

// Section is the part of the file that belongs to one factor, and a view of what of the policy was read before it.
type Section struct {
	name    string
	anchors []Anchor
	origins []Origin
}

// Name is the name of the factor.
func (s *Section) Name() string { return s.name }

// Anchors are all trust anchors of the policy.
func (s *Section) Anchors() []Anchor { return s.anchors }

// Origins are the origins of the policy.
func (s *Section) Origins() []Origin { return s.origins }
