namespace RefConv.Models.Report;

/// <summary>What pages do: sort tables, save figures as CSV, show values under the pointer, hide lines, change between light and dark. Without scripts all is still there to read.</summary>
internal static class PageScript
{
    /// <summary>Runs before anything is drawn, so that a page kept dark does not flash.</summary>
    public const string Theme = "try{const t=localStorage.getItem('refconv-theme');if(t)document.documentElement.dataset.theme=t}catch{}";

    /// <summary>Runs at the end.</summary>
    public const string Text = """
        'use strict';
        const $=(s,e=document)=>[...e.querySelectorAll(s)];
        const dataOf=f=>f.parsed??=JSON.parse(f.querySelector('script[type="application/json"]').textContent);
        const dark=()=>{const t=document.documentElement.dataset.theme;return t?t==='dark':matchMedia('(prefers-color-scheme: dark)').matches};

        // CSV after RFC 4180. A text that a spreadsheet would take for a formula gets an apostrophe before it.
        const cell=v=>{if(v===null||v===undefined)return '';if(typeof v==='number')return String(v);let s=String(v);if(/^[=+@\t]/.test(s))s="'"+s;return /[",\n\r]/.test(s)?'"'+s.replaceAll('"','""')+'"':s};
        const csv=(head,rows)=>[head,...rows].map(r=>r.map(cell).join(',')).join('\r\n')+'\r\n';
        const csvOfFigure=f=>{const d=dataOf(f);return csv(d.head,d.rows)};
        const value=td=>td.dataset.v!==undefined?Number(td.dataset.v):td.textContent;
        const csvOfTable=t=>csv($('thead th',t).map(h=>h.textContent),$('tbody tr',t).map(r=>[...r.cells].map(value)));
        const save=(name,text)=>{const a=document.createElement('a');a.href=URL.createObjectURL(new Blob([text],{type:'text/csv'}));a.download=name+'.csv';a.click();setTimeout(()=>URL.revokeObjectURL(a.href),1000)};

        // Tables: numbers by size, texts by alphabet, cells without a value last in both directions.
        const sort=th=>{
          const table=th.closest('table'),column=th.cellIndex,up=th.getAttribute('aria-sort')!=='ascending';
          $('th',table).forEach(h=>h.removeAttribute('aria-sort'));th.setAttribute('aria-sort',up?'ascending':'descending');
          const key=r=>value(r.cells[column]),empty=v=>v===''||Number.isNaN(v);
          const order=(a,b)=>typeof a==='number'&&typeof b==='number'?a-b:String(a).localeCompare(String(b),'en',{numeric:true});
          const rows=$('tbody tr',table).sort((r,s)=>{const a=key(r),b=key(s);if(empty(a)||empty(b))return empty(a)-empty(b);return up?order(a,b):order(b,a)});
          table.tBodies[0].append(...rows)};

        // Values under the pointer.
        const tip=document.createElement('div');tip.className='tip';document.body.append(tip);
        const short=v=>v===null||v===undefined?'–':typeof v!=='number'?v:v===0?'0':Math.abs(v)>=1e6||Math.abs(v)<1e-3?v.toExponential(2):String(Number(v.toPrecision(4)));
        const read=(svg,px,py)=>{
          const d=dataOf(svg.closest('figure')),[l,t,r,b]=svg.dataset.box.split(',').map(Number),fx=(px-l)/(r-l),fy=(py-t)/(b-t),kind=svg.dataset.plot;
          if(fx<-.02||fx>1.02||fy<-.02||fy>1.02)return null;
          const clamp=(v,n)=>Math.max(0,Math.min(n-1,v)),names=(svg.dataset.names??'').split('|');
          if(kind==='lines'){
            const [lo,hi]=svg.dataset.x.split(',').map(Number),x=lo+fx*(hi-lo);
            const row=d.rows.reduce((m,r)=>Math.abs(r[0]-x)<Math.abs(m[0]-x)?r:m),all=d.head.slice(1).map((h,i)=>[h,row[i+1]]).filter(p=>p[1]!==null).sort((p,q)=>q[1]-p[1]);
            return {x:l+(row[0]-lo)/(hi-lo)*(r-l),text:[d.head[0]+' '+short(row[0]),...all.slice(0,14).map(p=>short(p[1])+'  '+p[0]),...(all.length>14?['… '+(all.length-14)+' more']:[])].join('\n')}}
          if(kind==='tiles'){
            const [across,rows,cols,w,h]=svg.dataset.tiles.split(',').map(Number),u=clamp(Math.floor(fx*w),w),v=clamp(Math.floor(fy*h),h);
            const k=Math.floor(v/(rows+1))*across+Math.floor(u/(cols+1)),y=v%(rows+1),x=u%(cols+1);
            return k<d.rows.length&&y<rows&&x<cols?{text:'kernel '+k+', row '+y+', column '+x+'\n'+short(d.rows[k][1+y*cols+x])}:null}
          const n=d.rows.length,m=d.head.length-1,grid=kind==='grid';
          const j=clamp(grid?Math.round(fx*(m-1)):Math.floor(fx*m),m),i=clamp(grid?Math.round((1-fy)*(n-1)):Math.floor(fy*n),n);
          return {text:names[1]+' '+short(Number(d.head[j+1]))+'\n'+names[0]+' '+short(d.rows[i][0])+'\n'+short(d.rows[i][j+1])}};
        const hover=e=>{
          const svg=e.currentTarget,p=new DOMPoint(e.clientX,e.clientY).matrixTransform(svg.getScreenCTM().inverse()),hit=read(svg,p.x,p.y),guide=svg.querySelector('.guide');
          if(guide){guide.style.visibility=hit?'visible':'hidden';if(hit){guide.setAttribute('x1',hit.x);guide.setAttribute('x2',hit.x)}}
          tip.style.display=hit?'block':'none';if(!hit)return;tip.textContent=hit.text;
          tip.style.left=Math.min(e.clientX+14,innerWidth-tip.offsetWidth-6)+'px';tip.style.top=Math.max(6,Math.min(e.clientY+14,innerHeight-tip.offsetHeight-6))+'px'};
        $('svg[data-plot]').forEach(svg=>{svg.addEventListener('pointermove',hover);svg.addEventListener('pointerleave',()=>{tip.style.display='none';const g=svg.querySelector('.guide');if(g)g.style.visibility='hidden'})});

        document.addEventListener('click',e=>{
          const b=e.target.closest('button');if(!b)return;
          if(b.classList.contains('csv')){const f=b.closest('figure');f?save(dataOf(f).name,csvOfFigure(f)):save(b.dataset.name,csvOfTable(b.closest('.table').querySelector('table')))}
          else if(b.closest('th'))sort(b.closest('th'));
          else if(b.classList.contains('key')){const on=b.getAttribute('aria-pressed')!=='true';b.setAttribute('aria-pressed',on);$('.chart [data-group="'+b.dataset.group+'"]',b.closest('section')).forEach(p=>p.classList.toggle('off',!on))}
          else if(b.id==='theme'){const t=dark()?'light':'dark';document.documentElement.dataset.theme=t;try{localStorage.setItem('refconv-theme',t)}catch{}}
          else if(b.id==='print')print()});
        """;
}
