using System.Globalization;
using System.Text;

namespace RefConv.IO;

/// <summary>
/// The header of a NumPy file: the text of a Python dictionary, <c>{'descr': '&lt;f4', 'fortran_order': False, 'shape': (2, 3), }</c>. Nothing in it is
/// executed: this parser knows texts, True and False, and tuples of whole numbers.
/// </summary>
internal sealed class NpyHeader
{
    private readonly string _path, _text;
    private int _at;

    private NpyHeader(string path, string text) => (_path, _text) = (path, text);

    /// <summary>Element type, as NumPy writes it.</summary>
    public string Descr { get; private set; } = "";

    /// <summary>The first axis is the fastest, not the last.</summary>
    public bool FortranOrder { get; private set; }

    public IReadOnlyList<long> Shape { get; private set; } = [];

    public static NpyHeader Parse(string path, string text)
    {
        var header = new NpyHeader(path, text);
        header.ReadDictionary();
        return header;
    }

    /// <summary>A header and the fixed part before it, of version 1.0; together they take a multiple of 64 bytes.</summary>
    public static byte[] Format(string descr, Shape shape)
    {
        string sizes = string.Join(", ", shape.Sizes.ToArray().Select(s => s.ToString(CultureInfo.InvariantCulture)));
        string text = $"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sizes}{(shape.Rank == 1 ? "," : "")}), }}";
        int length = (10 + text.Length + 1 + 63) / 64 * 64;
        byte[] bytes = new byte[length];
        bytes[0] = 0x93;
        "NUMPY"u8.CopyTo(bytes.AsSpan(1));
        (bytes[6], bytes[7]) = (1, 0);
        (bytes[8], bytes[9]) = ((byte)(length - 10), (byte)((length - 10) >> 8));
        Encoding.ASCII.GetBytes(text.PadRight(length - 11) + "\n").CopyTo(bytes, 10);
        return bytes;
    }

    private void ReadDictionary()
    {
        HashSet<string> seen = [];
        Expect('{');
        while (!Take('}'))
        {
            string key = Text();
            Expect(':');
            if (!seen.Add(key)) throw Damaged($"'{key}' stands in it twice");
            switch (key)
            {
                case "descr": Descr = Peek() == '[' ? throw new FileFormatException(_path, "holds records of several fields. Save one array of plain numbers.") : Text(); break;
                case "fortran_order": FortranOrder = Truth(); break;
                case "shape": Shape = Tuple(); break;
                default: throw Damaged($"'{key}' is no part of one");
            }
            if (Take(',')) continue;
            Expect('}');
            break;
        }
        if (Peek() != '\0') throw Damaged("something follows it");
        if (seen.Count != 3) throw Damaged("it lacks the type, the order or the shape");
    }

    private List<long> Tuple()
    {
        List<long> sizes = [];
        Expect('(');
        while (!Take(')'))
        {
            sizes.Add(Number());
            // NumPy itself allows 64 axes.
            if (sizes.Count > 64) throw Damaged("it has more than 64 axes");
            if (Take(',')) continue;
            Expect(')');
            break;
        }
        return sizes;
    }

    private string Text()
    {
        char quote = Peek();
        if (quote is not ('\'' or '"')) throw Damaged($"a text is missing at character {_at}");
        int end = _text.IndexOf(quote, _at + 1);
        if (end < 0) throw Damaged("a text does not end");
        string text = _text[(_at + 1)..end];
        _at = end + 1;
        return text;
    }

    private bool Truth()
    {
        Peek();
        foreach (var (word, value) in new[] { ("True", true), ("False", false) })
        {
            if (!_text.AsSpan(_at).StartsWith(word, StringComparison.Ordinal)) continue;
            _at += word.Length;
            return value;
        }
        throw Damaged("fortran_order is neither True nor False");
    }

    private long Number()
    {
        Peek();
        int start = _at;
        while (_at < _text.Length && char.IsAsciiDigit(_text[_at])) _at++;
        return long.TryParse(_text.AsSpan(start, _at - start), NumberStyles.None, CultureInfo.InvariantCulture, out long number)
            ? number : throw Damaged($"a size is missing or too large at character {start}");
    }

    private bool Take(char c)
    {
        if (Peek() != c) return false;
        _at++;
        return true;
    }

    private void Expect(char c)
    {
        if (!Take(c)) throw Damaged($"'{c}' is missing at character {_at}");
    }

    /// <summary>The next character that is no space; 0 at the end.</summary>
    private char Peek()
    {
        while (_at < _text.Length && _text[_at] is ' ' or '\n' or '\t' or '\r') _at++;
        return _at < _text.Length ? _text[_at] : '\0';
    }

    private FileFormatException Damaged(string why) => new(_path, $"its NumPy header is damaged: {why}. Save it again with numpy.save.");
}
