# Words and counts of terms, over csrc/text/words.h and documents.h.

from libc.stdint cimport uint64_t
from cpython.bytearray cimport PyByteArray_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeUTF8


cdef extern from "text/words.h" namespace "einkorn::text" nogil:
    uint64_t hash_of(string_view)

    cdef cppclass CWords "einkorn::text::Words":
        CWords(const CCharacters&)
        string_view spaced(string_view, flag) except +raise_refused


cdef extern from "text/documents.h" namespace "einkorn::text" nogil:
    cdef enum class CAnalyzer "einkorn::text::Analyzer":
        word, character, character_in_word

    cdef cppclass CAnalysis "einkorn::text::Analysis":
        CAnalyzer analyzer
        size_t least, most, shortest
        flag lower
        int64_t places
        flag alternate_sign

    cdef cppclass CRows "einkorn::text::Rows":
        string names
        vector[size_t] name_ends
        vector[int64_t] ends
        vector[int32_t] terms
        vector[int64_t] counts

    cdef cppclass CDocuments "einkorn::text::Documents":
        CDocuments(const CCharacters&, const CAnalysis&)
        void stop(string_view) except +raise_refused
        void know(string_view, int32_t) except +raise_refused
        void fix()
        void count(const vector[string_view]&, int, CRows&) except +raise_refused


cdef inline bint separates(char byte) noexcept nogil:
    """What str.split cuts at and is left in a text whose white space is spaces."""
    return byte == 32 or 28 <= byte <= 31


cdef class Words:
    cdef SharedCharacters classes
    cdef unique_ptr[CWords] own
    cdef list recent

    def __init__(self, Characters characters not None):
        self.classes = characters.own
        self.own.reset(new CWords(self.classes.get()[0]))
        self.recent = [None] * 4096

    cdef str word(self, string_view word):
        """The word as a str, the same object where it came a short while ago."""
        cdef size_t place = hash_of(word) & 4095
        cdef str known = self.recent[place]
        cdef Py_ssize_t size
        cdef const char* data
        if known is not None:
            data = PyUnicode_AsUTF8AndSize(known, &size)
            if string_view(data, size) == word:
                return known
        known = PyUnicode_DecodeUTF8(word.data(), word.size(), NULL)
        if word.size() <= 32:
            self.recent[place] = known
        return known

    def split(self, str text not None, bint convert_parentheses):
        """The words of a text."""
        cdef string_view spaced = self.own.get().spaced(view(text), convert_parentheses)
        cdef const char* data = spaced.data()
        cdef size_t size = spaced.size(), at = 0, end
        cdef list words = []
        while at < size:
            if separates(data[at]):
                at += 1
                continue
            end = at + 1
            while end < size and not separates(data[end]):
                end += 1
            words.append(self.word(string_view(data + at, end - at)))
            at = end
        return words


cdef class Documents:
    cdef SharedCharacters classes
    cdef unique_ptr[CDocuments] own

    def __init__(self, Characters characters not None, str analyzer not None, size_t least, size_t most, size_t shortest,
                 bint lower, stop, terms, int64_t places, bint alternate_sign):
        cdef CAnalysis analysis
        analysis.analyzer = (CAnalyzer.word if analyzer == "word" else CAnalyzer.character if analyzer == "char"
                             else CAnalyzer.character_in_word)
        analysis.least = least
        analysis.most = most
        analysis.shortest = shortest
        analysis.lower = lower
        analysis.places = places
        analysis.alternate_sign = alternate_sign
        self.classes = characters.own
        self.own.reset(new CDocuments(self.classes.get()[0], analysis))
        for word in stop or ():
            self.own.get().stop(view(word))
        if terms is not None:
            self.own.get().fix()
            for term, number in terms.items():
                self.own.get().know(view(term), number)

    def count(self, list texts not None, int threads):
        """New terms, and as arrays of bytes: ends of rows (int64), terms (int32), counts (int64)."""
        cdef tuple kept = tuple(texts)
        cdef vector[string_view] parts = views(kept)
        cdef CRows rows
        cdef size_t start = 0, i
        with nogil:
            self.own.get().count(parts, threads, rows)
        cdef list names = []
        for i in range(rows.name_ends.size()):
            names.append(PyUnicode_DecodeUTF8(rows.names.data() + start, rows.name_ends[i] - start, NULL))
            start = rows.name_ends[i]
        return (
            names,
            PyByteArray_FromStringAndSize(<const char*>rows.ends.data(), rows.ends.size() * 8),
            PyByteArray_FromStringAndSize(<const char*>rows.terms.data(), rows.terms.size() * 4),
            PyByteArray_FromStringAndSize(<const char*>rows.counts.data(), rows.counts.size() * 8),
        )
