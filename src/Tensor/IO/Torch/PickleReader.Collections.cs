using System.Runtime.InteropServices;

namespace RefConv.IO;

/// <summary>Tuples, lists and dictionaries of what lies on the stack.</summary>
internal sealed unsafe partial class PickleReader
{
    private void Tuple(int count) => Push(Taken(First(count)));

    private PickleTuple FromMark() => Taken(Mark());

    private PickleTuple Taken(int first)
    {
        object?[] items = CollectionsMarshal.AsSpan(_stack)[first..].ToArray();
        Charge(ListCost + NumberCost + (8 * items.Length));
        DropTo(first);
        return new PickleTuple(items);
    }

    private void List()
    {
        int mark = Mark();
        Charge(ListCost + (ItemCost * (_stack.Count - mark)));
        var list = new PickleList();
        for (int i = mark; i < _stack.Count; i++) list.Add(_stack[i]);
        DropTo(mark);
        Push(list);
    }

    private void Dictionary()
    {
        int mark = Mark();
        Charge(DictionaryCost);
        _stack.Insert(mark, new PickleDictionary());
        SetItems(mark + 1);
    }

    private void Append(int first)
    {
        if (first < 1) throw Short();
        if (_stack[first - 1] is PickleList list)
        {
            Charge(ItemCost * (_stack.Count - first));
            for (int i = first; i < _stack.Count; i++) list.Add(_stack[i]);
        }
        else if (_stack[first - 1] is not PickleOpaque)
        {
            throw Damaged("it appends to something that is no list");
        }
        DropTo(first);
    }

    private void SetItems(int first)
    {
        if (first < 1) throw Short();
        if ((_stack.Count - first) % 2 != 0) throw Damaged("a dictionary has a key without a value");
        if (_stack[first - 1] is PickleDictionary dictionary)
        {
            Charge(PairCost / 2 * (_stack.Count - first));
            for (int i = first; i < _stack.Count; i += 2) dictionary.Add(_stack[i], _stack[i + 1]);
        }
        else if (_stack[first - 1] is not PickleOpaque)
        {
            throw Damaged("it sets items of something that is no dictionary");
        }
        DropTo(first);
    }
}
