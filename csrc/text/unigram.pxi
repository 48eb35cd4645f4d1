# Learning Unigram models, over csrc/text/train_unigram.h.

cdef extern from "text/train_unigram.h" namespace "einkorn::text" nogil:
    cdef cppclass CUnigramLearner "einkorn::text::UnigramLearner":
        CUnigramLearner(const CTable&, size_t, size_t) except +raise_refused
        double expect(int) except +raise_refused
        void maximize(double) except +raise_refused
        void prune(size_t, int) except +raise_refused
        size_t size()
        size_t characters()
        string_view piece(size_t)
        double score(size_t)
        double expected(size_t)


cdef class UnigramLearner:
    cdef unique_ptr[CUnigramLearner] own

    def __init__(self, Counts words not None, size_t longest, size_t most):
        cdef CUnigramLearner* made
        with nogil:
            made = new CUnigramLearner(words.own, longest, most)
        self.own.reset(made)

    def expect(self, int threads):
        cdef double likelihood
        with nogil:
            likelihood = self.own.get().expect(threads)
        return likelihood

    def maximize(self, double least):
        with nogil:
            self.own.get().maximize(least)

    def prune(self, size_t kept, int threads):
        with nogil:
            self.own.get().prune(kept, threads)

    def size(self):
        return self.own.get().size()

    def characters(self):
        return self.own.get().characters()

    def pieces(self):
        """Each piece, its score and how often it is expected."""
        cdef CUnigramLearner* own = self.own.get()
        return [(octets_of(own.piece(i)).decode(), own.score(i), own.expected(i)) for i in range(own.size())]
